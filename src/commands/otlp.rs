//! Traces for an OpenTelemetry collector, where the environment names one.
//!
//! The variables are those of the OpenTelemetry specification: `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, and beside them `OTEL_SERVICE_NAME`,
//! `OTEL_EXPORTER_OTLP_HEADERS` and what else the exporter knows. Without an endpoint there are no
//! traces.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::context::variable;

/// The target of the spans that are meant for traces; the log leaves them out.
const TARGET: &str = "otlp";

/// How long a collector may take to receive the last spans.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where spans wait to be sent.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What takes spans up, where there is a collector.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    endpoints.iter().find_map(variable)?;
    // The exporter sends from a thread of its own, so that its client blocks.
    crate::backends::http::install_crypto();
    let client = std::thread::spawn(|| reqwest::blocking::Client::builder().build()).join();
    let client = client.ok()?.ok()?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = match exporter {
        Ok(exporter) => exporter,
        Err(error) => {
            // The log is not there yet.
            drop(writeln!(anstream::stderr(), "warning: no traces are sent: {error}"));
            return None;
        }
    };
    let provider = PROVIDER.get_or_init(|| {
        let name = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "golive".into());
        let name = name.to_string_lossy().into_owned();
        let resource = Resource::builder().with_service_name(name).build();
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()
    });
    let filter = Targets::new().with_target(TARGET, LevelFilter::INFO);
    let tracer = provider.tracer("golive");
    Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter))
}

/// Sends what still waits.
pub(super) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        // Where the collector is gone, there is nobody to tell.
        drop(provider.shutdown_with_timeout(LAST_WORDS));
    }
}
