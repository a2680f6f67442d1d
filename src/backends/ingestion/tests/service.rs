//! A small service with one product, which advances with time: its previews, what goes live, and
//! the jobs of the requests.

use std::collections::BTreeMap;

use super::*;

/// What becomes of a POST, whether or not it is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is reset before it is processed.
    LostBefore,
    /// The same afterwards.
    LostAfter,
    /// It is answered this, unprocessed.
    Answered(u16),
    /// It is processed, and answered this.
    AnsweredAfter(u16),
    /// Just before it is processed, another client publishes this preview, which takes five minutes.
    Overtaken(u32),
}

/// A golive that was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    number: u32,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct World {
    /// The newest preview, and when its publish is done.
    preview: (u32, Instant),
    pushes: Vec<Push>,
    /// Jobs by id: the push that it started, or why it was refused.
    jobs: BTreeMap<String, Result<usize, String>>,
}

/// The service, and how it behaves.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// How long after the request a golive shows in the list.
    pub(super) lag: Duration,
    /// How long a golive then takes.
    pub(super) takes: Duration,
    /// Whether golives fail in certification.
    pub(super) fails: bool,
    /// Whether jobs can't be read.
    pub(super) forgets_jobs: bool,
    /// What becomes of the next POSTs.
    pub(super) faults: Arc<Mutex<VecDeque<Fault>>>,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Preview 2 waits. To be made inside a paused runtime.
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let preview = (2, Instant::now());
        let world = World { preview, pushes: Vec::new(), jobs: BTreeMap::new() };
        Self {
            lag: Duration::from_secs(90),
            takes: Duration::from_hours(3),
            fails: false,
            forgets_jobs: false,
            faults: Arc::new(Mutex::new(faults.into_iter().collect())),
            world: Arc::new(Mutex::new(world)),
            asked: Arc::default(),
        }
    }

    /// The numbers of the golives that were accepted.
    pub(super) fn accepted(&self) -> Vec<u32> {
        self.world.lock().unwrap().pushes.iter().map(|push| push.number).collect()
    }

    pub(super) fn router(&self) -> Router {
        let service = self.clone();
        Router::new().fallback(move |request: Request| {
            let service = service.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
                let path = parts.uri.path().trim_start_matches("/rp/product-ingestion/").to_owned();
                service.asked.lock().unwrap().push(format!("{} {path}", parts.method));
                let parts: Vec<_> = path.split('/').collect();
                match parts[..] {
                    ["product"] => products(&[("vm", GUID, ""), ("other", "guid-1", "")]),
                    ["submission", GUID] => service.list(),
                    ["configure", id, "status"] => service.job(id),
                    ["configure"] => service.post(std::str::from_utf8(&body).unwrap()),
                    _ => answer(404, ""),
                }
            }
        })
    }

    fn ends(&self, push: &Push) -> Instant {
        push.at + self.lag + self.takes
    }

    fn list(&self) -> Response<Body> {
        let (world, now) = (self.world.lock().unwrap(), Instant::now());
        let (preview, done) = world.preview;
        let mut list = Vec::new();
        let shown = |push: &&Push| push.at + self.lag <= now;
        for push in world.pushes.iter().filter(shown) {
            let result = if self.fails { "failed" } else { "succeeded" };
            let state =
                if self.ends(push) <= now { ("completed", result) } else { ("running", "pending") };
            list.retain(|it: &String| !it.starts_with(&format!("{} live", push.number)));
            list.push(format!("{} live {}/{}", push.number, state.0, state.1));
        }
        if !world.pushes.iter().filter(shown).any(|push| push.number == preview) {
            let state = if done <= now { "completed/succeeded" } else { "running/pending" };
            list.push(format!("{preview} preview {state}"));
        }
        list.reverse();
        submissions(&list.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn job(&self, id: &str) -> Response<Body> {
        let (world, now) = (self.world.lock().unwrap(), Instant::now());
        let body = match world.jobs.get(id) {
            _ if self.forgets_jobs => return answer(404, ""),
            None => return answer(404, ""),
            Some(Err(why)) => {
                let error = format!(r#"{{"code": "internalServerError", "message": "{why}"}}"#);
                super::job("completed", "failed", &error)
            }
            Some(Ok(push)) if self.ends(&world.pushes[*push]) > now => {
                super::job("running", "pending", "")
            }
            Some(Ok(_)) if self.fails => {
                let error =
                    r#"{"code": "invalidState", "message": "Issues found during Certification."}"#;
                super::job("completed", "failed", error)
            }
            Some(Ok(_)) => super::job("completed", "succeeded", ""),
        };
        answer(200, &body.replace(JOB, id))
    }

    fn post(&self, body: &str) -> Response<Body> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::LostBefore) => return dropped(),
            Some(Fault::Answered(status)) => return answer(status, ""),
            Some(Fault::Overtaken(number)) => {
                let done = Instant::now() + Duration::from_mins(5);
                self.world.lock().unwrap().preview = (number, done);
            }
            Some(Fault::LostAfter | Fault::AnsweredAfter(_)) | None => {}
        }
        let id = self.process(body);
        match fault {
            Some(Fault::LostAfter) => dropped(),
            Some(Fault::AnsweredAfter(status)) => answer(status, ""),
            Some(_) | None => {
                answer(202, &super::job("notStarted", "pending", "").replace(JOB, &id))
            }
        }
    }

    fn process(&self, body: &str) -> String {
        let (mut world, now) = (self.world.lock().unwrap(), Instant::now());
        let number = body.split(&format!("submission/{GUID}/")).nth(1).unwrap();
        let number: u32 = number.split('"').next().unwrap().parse().unwrap();
        let running =
            world.pushes.iter().find(|push| self.ends(push) > now).map(|push| push.number);
        let running = running.or_else(|| (world.preview.1 > now).then_some(world.preview.0));
        let outcome = if let Some(running) = running {
            Err(format!("An In Progress submission {running} already exists."))
        } else if number != world.preview.0 {
            Err("The submission cannot be pushed to live as its not the latest submission."
                .to_owned())
        } else {
            world.pushes.push(Push { number, at: now });
            Ok(world.pushes.len() - 1)
        };
        let id = format!("00000000-0000-0000-0000-{:012}", world.jobs.len() + 1);
        world.jobs.insert(id.clone(), outcome);
        id
    }
}
