//! The API's calls on the world: reads, and cancel. Synchronous: a request is answered at one
//! moment.

use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::route::Route;
use super::view::{Target, View, product_type};
use super::{bad_request, error, not_found, pages};
use crate::backends::ingestion::wire::{API_VERSION, VERSION_PARAMETER};
use crate::emulator::access::Access;
use crate::emulator::model::job::{Job, JobProgress, Work};
use crate::emulator::model::operation::Ending;
use crate::emulator::model::{Behaviour, Moment, Offer};
use crate::emulator::reply::Reply;
use crate::emulator::request::{ApiRequest, Context};
use crate::emulator::seed::Seed;
use crate::emulator::world::{Key, Product, World};

/// Answers one request.
pub(in crate::emulator) fn respond(
    world: &mut World,
    seed: &Seed,
    request: &ApiRequest,
    now: Timestamp,
) -> Reply {
    authorize(world, seed, request)
        .and_then(|access| {
            let route = Route::parse(&request.segments).ok_or_else(|| not_found("resource"))?;
            check_method(request, &route)?;
            answer(Context { world, seed, access, request, now }, route)
        })
        .unwrap_or_else(|refusal| refusal)
}

/// 401: no token, or one that is not known; 403: the app is in no account (seen by clients).
fn authorize<'a>(
    world: &World,
    seed: &'a Seed,
    request: &'a ApiRequest,
) -> Result<Access<'a>, Reply> {
    let access = Access::of(seed, request).map_err(|message| {
        error(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with(header::WWW_AUTHENTICATE, "Bearer".to_owned())
    })?;
    let mut own = world.publishers().filter(|publisher| access.owns(publisher)).peekable();
    if own.peek().is_some() && own.all(|publisher| !access.opens(publisher)) {
        let message = "The caller does not have access to this account.";
        return Err(error(StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(access)
}

fn check_method(request: &ApiRequest, route: &Route) -> Result<(), Reply> {
    let expected = if route.is_post() { Method::POST } else { Method::GET };
    if request.method == expected {
        return Ok(());
    }
    let message = format!("{} is not allowed here.", request.method);
    Err(error(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", message)
        .with(header::ALLOW, expected.to_string()))
}

/// A `$version` is documented as required; requests without it were served for years (seen by
/// clients).
pub(super) fn check_version(request: &ApiRequest, is_strict: bool) -> Result<(), Reply> {
    match request.parameter(VERSION_PARAMETER) {
        Some(API_VERSION) => Ok(()),
        Some(_) | None if !is_strict => Ok(()),
        given @ (Some(_) | None) => Err(bad_request(format!(
            "The seed is strict: $version must be {API_VERSION}, not {given:?}."
        ))),
    }
}

fn answer(mut context: Context<'_>, route: Route) -> Result<Reply, Reply> {
    match route {
        Route::Products => context.products(),
        Route::Product(guid) => {
            context.view(&guid, |view| Ok(Reply::json(StatusCode::OK, &view.product_resource())))
        }
        Route::Submissions(guid) => context.submissions(&guid),
        Route::Submission(guid, number) => context.submission(&guid, &number),
        Route::Plans => context.plans(),
        Route::Tree(guid) => context.tree(&guid),
        Route::Configure => context.configure(),
        Route::JobStatus(id) => context.job(&id, |view, job, progress| {
            match view.moment.behaviour.ingestion.job_status {
                Some(status) => Err(error(
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    "serviceUnavailable",
                    "No job is answered, as the seed says.",
                )),
                None => Ok(Reply::json(StatusCode::OK, &view.job(job, progress))),
            }
        }),
        Route::JobDetail(id) => context.job(&id, detail),
        Route::CancelJob(id) => context.cancel(&id),
    }
}

impl Context<'_> {
    /// How lists are answered that are about no one offer.
    fn check_seed_version(&self) -> Result<(), Reply> {
        check_version(self.request, self.seed.ingestion.strict == Some(true))
    }

    /// The products that the token's account has; with a name, those of that name.
    pub(super) fn visible(&self, name: Option<&str>) -> Vec<Product> {
        let open = self.world.publishers().filter(|publisher| self.access.opens(publisher));
        open.flat_map(|publisher| self.world.products_of(publisher, name)).collect()
    }

    /// An unknown name is an empty list (inferred from three clients).
    fn products(&mut self) -> Result<Reply, Reply> {
        self.check_seed_version()?;
        let mut products = self.visible(self.request.parameter("externalId"));
        if let Some(wanted) = self.request.parameter("type") {
            let wanted = wanted.to_owned();
            products.retain(|product| {
                let has_type = |offer: &mut Offer, _: Moment<'_>| {
                    product_type(&offer.type_id).0.eq_ignore_ascii_case(&wanted)
                };
                self.world.visit(&product.key, self.now, has_type) == Some(true)
            });
        }
        let (request, now, world) = (self.request, self.now, &mut *self.world);
        pages::page(request, &self.seed.ingestion, &products, |product| {
            let guid = product.guid();
            let value = world.visit(&product.key, now, |offer, moment| {
                View { guid: &guid, offer, is_twin: product.is_twin, moment, request }
                    .product_resource()
            });
            value.unwrap_or_default()
        })
    }

    /// The product with this GUID, if the token may see it.
    pub(super) fn find(&self, guid: &str) -> Result<Product, Reply> {
        let product = self.world.product(guid);
        let visible = product.filter(|own| self.access.opens(own.key.publisher()));
        visible.ok_or_else(|| not_found("product"))
    }

    /// Shows a product.
    fn view(
        &mut self,
        guid: &str,
        show: impl FnOnce(View<'_>) -> Result<Reply, Reply>,
    ) -> Result<Reply, Reply> {
        let product = self.find(guid)?;
        let (guid, request) = (product.guid(), self.request);
        let visit = self.world.visit(&product.key, self.now, |offer, moment| {
            check_version(request, is_strict(moment.behaviour))?;
            show(View { guid: &guid, offer, is_twin: product.is_twin, moment, request })
        });
        visit.unwrap_or_else(|| Err(not_found("product")))
    }

    /// The same, for what the API refuses of types that it doesn't serve. Seen by clients for the
    /// tree; inferred for the rest.
    fn view_served(
        &mut self,
        guid: &str,
        show: impl FnOnce(View<'_>) -> Result<Reply, Reply>,
    ) -> Result<Reply, Reply> {
        self.view(guid, |view| {
            let (kind, is_served) = product_type(&view.offer.type_id);
            if is_served {
                return show(view);
            }
            let mut letters = kind.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            let kind: String = first.into_iter().chain(letters).collect();
            Err(bad_request(format!("Type {kind} is not supported")))
        })
    }

    fn submissions(&mut self, guid: &str) -> Result<Reply, Reply> {
        self.poll(guid);
        let target = self.target(None)?;
        self.view_served(guid, |view| {
            let mut list = view.submissions();
            let wanted = target.map(Target::word);
            list.retain(|own| wanted.is_none() || own.target.target_type.as_deref() == wanted);
            pages::page(view.request, &view.moment.behaviour.ingestion, &list, |own| json!(own))
        })
    }

    fn submission(&mut self, guid: &str, number: &str) -> Result<Reply, Reply> {
        self.poll(guid);
        self.view_served(guid, |view| {
            let id = format!("submission/{}/{number}", view.guid);
            // Of two entries with one id, the live one.
            let mut all = view.submissions();
            all.sort_by_key(|own| own.target.target_type.as_deref() != Some("live"));
            let own = all.into_iter().find(|own| own.id.as_ref() == Some(&id));
            own.map(|own| Reply::json(StatusCode::OK, &own)).ok_or_else(|| not_found("submission"))
        })
    }

    fn plans(&mut self) -> Result<Reply, Reply> {
        let product = self.request.parameter("product").unwrap_or_default().to_owned();
        let guid = product.strip_prefix("product/").unwrap_or(&product);
        let name = self.request.parameter("externalId");
        self.view_served(guid, |view| {
            let mut plans = view.plans();
            plans.retain(|plan| {
                let own = plan.pointer("/identity/externalId").and_then(Value::as_str);
                name.is_none() || own == name
            });
            pages::page(view.request, &view.moment.behaviour.ingestion, &plans, Value::clone)
        })
    }

    fn tree(&mut self, guid: &str) -> Result<Reply, Reply> {
        let target = self.target(Some(Target::Draft))?.unwrap_or(Target::Draft);
        self.view_served(guid, |view| match view.tree(target) {
            Some(tree) => Ok(Reply::json(StatusCode::OK, &tree)),
            None => Err(bad_request(format!(
                "The product has no submission of target type {}.",
                target.word()
            ))),
        })
    }

    /// The `targetType` of the request. The reference quotes the value; quotes are refused (seen by
    /// clients).
    fn target(&self, default: Option<Target>) -> Result<Option<Target>, Reply> {
        match self.request.parameter("targetType") {
            None => Ok(default),
            Some(word) => Target::parse(word)
                .map(Some)
                .ok_or_else(|| bad_request(format!("The target type {word:?} is not valid."))),
        }
    }

    /// Counts a poll of what runs: operations may advance with them.
    fn poll(&mut self, guid: &str) {
        if let Some(product) = self.world.product(guid).filter(|own| !own.is_twin) {
            self.world.visit(&product.key, self.now, |offer, moment| {
                if offer.running().is_some() {
                    offer.poll(offer.operations.len() - 1, moment);
                }
            });
        }
    }

    /// The offer that a job is about, if the token may see it.
    fn job_key(&self, id: &str) -> Result<Key, Reply> {
        let key = self.world.offer_of_job(id);
        let visible = key.filter(|key| self.access.opens(key.publisher()));
        visible.ok_or_else(|| not_found("job"))
    }

    /// Shows a job. One that has expired can't be read any more (open: how long one can).
    fn job(
        &mut self,
        id: &str,
        show: impl FnOnce(View<'_>, &Job, JobProgress) -> Result<Reply, Reply>,
    ) -> Result<Reply, Reply> {
        let key = self.job_key(id)?;
        let guid = Product { key: key.clone(), is_twin: false }.guid();
        let request = self.request;
        let visit = self.world.visit(&key, self.now, |offer, moment| {
            check_version(request, is_strict(moment.behaviour))?;
            let job = offer.job(id).cloned().ok_or_else(|| not_found("job"))?;
            let index = match &job.work {
                Work::Operation(index) => Some(*index),
                Work::Edit(_) | Work::InProgress(_) | Work::NotLatest(_) => None,
            };
            if index.is_some_and(|index| has_expired(offer, index, moment.behaviour)) {
                return Err(not_found("job"));
            }
            if let Some(index) = index {
                offer.poll(index, moment);
            }
            let progress = job.progress(offer, moment);
            show(View { guid: &guid, offer, is_twin: false, moment, request }, &job, progress)
        });
        visit.unwrap_or_else(|| Err(not_found("job")))
    }

    /// 200 and the job, completed and cancelled; refused once it has ended, or where a publish is
    /// far enough along (documented).
    fn cancel(&mut self, id: &str) -> Result<Reply, Reply> {
        let key = self.job_key(id)?;
        let guid = Product { key: key.clone(), is_twin: false }.guid();
        let request = self.request;
        let visit = self.world.visit(&key, self.now, |offer, moment| {
            let job = offer.job(id).cloned().ok_or_else(|| not_found("job"))?;
            let last = offer.operations.len().checked_sub(1);
            let Work::Operation(index) = job.work else { return Err(completed()) };
            let Some(running) = offer.running().filter(|_| last == Some(index)) else {
                return Err(completed());
            };
            if !moment.behaviour.cancels(running.kind) {
                return Err(bad_request(
                    "Cannot cancel job, the publish is too far along to be canceled.",
                ));
            }
            offer.end_now(Ending::Canceled, moment).map_err(|_| completed())?;
            let progress = JobProgress::Ended(Ending::Canceled, moment.now);
            let view = View { guid: &guid, offer, is_twin: false, moment, request };
            let reply = Reply::json(StatusCode::OK, &view.job(&job, progress));
            Ok(Reply { accepted: true, ..reply })
        });
        visit.unwrap_or_else(|| Err(not_found("job")))
    }
}

pub(super) fn is_strict(behaviour: &Behaviour) -> bool {
    behaviour.ingestion.strict == Some(true)
}

/// The refusal of a cancel that comes too late (documented).
fn completed() -> Reply {
    bad_request("Cannot cancel job, job has already completed.")
}

fn has_expired(offer: &Offer, index: usize, behaviour: &Behaviour) -> bool {
    let expire = behaviour.entry.expire;
    offer.operations.get(index).is_some_and(|operation| {
        operation.expired
            || (expire.finished && !operation.runs())
            || expire.polls.is_some_and(|polls| operation.polls >= polls)
    })
}

/// *Job detail*: what succeeded, once the job has ended, and an error before that (documented). It
/// has no errors.
fn detail(view: View<'_>, job: &Job, progress: JobProgress) -> Result<Reply, Reply> {
    let resources = match (progress, &job.work) {
        (JobProgress::NotStarted | JobProgress::Running, _) => {
            return Err(bad_request("The job has not completed yet."));
        }
        (JobProgress::Ended(Ending::Succeeded, _), Work::Edit(ids)) => {
            let written = &view.offer.draft.resources;
            ids.iter().filter_map(|id| written.get(id).cloned()).collect()
        }
        (JobProgress::Ended(Ending::Succeeded, _), Work::Operation(index)) => {
            let operation = view.offer.operations.get(*index);
            let suffix = operation
                .map(|own| format!("/{}", crate::emulator::model::submission::number(own.version)));
            let ends = |id: &str| suffix.as_deref().is_some_and(|suffix| id.ends_with(suffix));
            let own = view.submissions().into_iter();
            own.filter(|own| own.id.as_deref().is_some_and(ends)).map(|own| json!(own)).collect()
        }
        (JobProgress::Ended(..), _) => Vec::new(),
    };
    let schema = view.schema("configure-detail");
    Ok(Reply::json(StatusCode::OK, &json!({"$schema": schema, "resources": resources})))
}
