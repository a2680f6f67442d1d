//! `golive emulator`

use std::sync::Arc;

use super::connection::seed;
use super::context::{Threads, run_to_end};
use super::signal::Signals;
use super::{CommandError, OK, output};
use crate::cli::EmulatorArgs;
use crate::clock::{Clock, SystemClock};
use crate::emulator::{self, Emulator, SeedDuration, Token};

pub(super) fn run(args: &EmulatorArgs, signals: &Signals) -> Result<u8, CommandError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    output::log_only(&args.logging, &clock);
    let mut seed = seed(args.seed.as_deref())?;
    if let Some(token) = &args.token {
        seed.token = Some(Token::new(token));
    }
    if let Some(step_time) = args.step_time {
        seed.step_time = SeedDuration(step_time);
    }
    let emulator = Emulator::new(seed, clock);
    run_to_end(Threads::All, async {
        let stop = signals.stop_in_order();
        let cannot =
            |error| CommandError::because(format!("cannot listen on {}", args.listen), error);
        let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        output::print(&format!("listening on http://{address}\n"))?;
        let stopped = async move { stop.cancelled().await };
        emulator::serve(emulator, listener, stopped)
            .await
            .map_err(|error| CommandError::because("the emulator stopped", error))
    })?;
    Ok(OK)
}
