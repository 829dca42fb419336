//! Who is healthy: one status a service and one for the whole server, computed from named dependencies when one of
//! them changes, never when somebody asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// The status of a service, as the protocol has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingStatus {
    /// It takes calls.
    Serving,
    /// It does not, at present.
    NotServing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Running,
    Draining,
}

/// The whole server's name in the protocol.
pub(super) const OVERALL: &str = "";

/// The state of health of a server. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct HealthReporter {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    statuses: BTreeMap<String, watch::Sender<ServingStatus>>,
    dependencies: BTreeMap<String, DependencyState>,
}

#[derive(Debug, Default)]
struct DependencyState {
    /// Why it fails; `None` when it does not.
    failing: Option<String>,
    /// The services that need it; `None` for all.
    needed_by: Option<BTreeSet<String>>,
}

impl Default for HealthReporter {
    fn default() -> Self {
        let overall = (OVERALL.to_owned(), watch::Sender::new(ServingStatus::NotServing));
        let state = State {
            phase: Phase::Starting,
            statuses: BTreeMap::from([overall]),
            dependencies: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl HealthReporter {
    /// A server that is starting: nothing is served yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dependency of every service. It counts as failing until it is first reported.
    pub fn dependency(&self, name: impl Into<String>) -> Dependency {
        self.add(name.into(), None)
    }

    /// A dependency of some services, by full name; the whole server is not served either while it fails.
    pub fn dependency_of<S: Into<String>>(
        &self,
        name: impl Into<String>,
        services: impl IntoIterator<Item = S>,
    ) -> Dependency {
        self.add(name.into(), Some(services.into_iter().map(Into::into).collect()))
    }

    fn add(&self, name: String, needed_by: Option<BTreeSet<String>>) -> Dependency {
        let failing = Some("not checked yet".to_owned());
        let mut state = self.lock();
        state.dependencies.insert(name.clone(), DependencyState { failing, needed_by });
        state.publish();
        Dependency { name, reporter: self.clone() }
    }

    /// A service whose status is told.
    pub(crate) fn add_service(&self, name: &str) {
        let mut state = self.lock();
        let unserved = || watch::Sender::new(ServingStatus::NotServing);
        state.statuses.entry(name.to_owned()).or_insert_with(unserved);
        state.publish();
    }

    /// A service that a dependency was said to be needed by, and that there is not: most likely a slip of the pen,
    /// after which the service that was meant stays SERVING while its dependency is away.
    pub(crate) fn unknown_dependent(&self) -> Option<String> {
        let state = self.lock();
        let mut names = state.dependencies.values().filter_map(|one| one.needed_by.as_ref()).flatten();
        names.find(|name| !state.statuses.contains_key(*name)).cloned()
    }

    /// The sockets are open.
    pub(crate) fn running(&self) {
        self.enter(Phase::Running);
    }

    /// Nothing is served from now on, whatever the dependencies say.
    pub(crate) fn drain(&self) {
        self.enter(Phase::Draining);
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
        state.publish();
    }

    /// The status of a service, or of the whole server by the empty name; `None` for an unknown one.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.lock().statuses.get(service).map(|status| *status.borrow())
    }

    /// Every name and its status.
    pub fn statuses(&self) -> BTreeMap<String, ServingStatus> {
        let state = self.lock();
        state.statuses.iter().map(|(name, status)| (name.clone(), *status.borrow())).collect()
    }

    /// The dependencies that fail, and why: for a readiness page.
    pub fn failing(&self) -> BTreeMap<String, String> {
        let state = self.lock();
        let failing = state.dependencies.iter();
        failing.filter_map(|(name, dependency)| Some((name.clone(), dependency.failing.clone()?))).collect()
    }

    pub(super) fn subscribe(&self, service: &str) -> Option<watch::Receiver<ServingStatus>> {
        self.lock().statuses.get(service).map(watch::Sender::subscribe)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn publish(&self) {
        for (service, status) in &self.statuses {
            let blocked = self.dependencies.values().any(|dependency| {
                dependency.failing.is_some()
                    && dependency
                        .needed_by
                        .as_ref()
                        .is_none_or(|needed_by| service == OVERALL || needed_by.contains(service))
            });
            let serving = self.phase == Phase::Running && !blocked;
            let now = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            status.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
    }
}

/// Something the services need, reported by whoever knows: the pool that lost its connections, the task that checks.
#[derive(Clone, Debug)]
pub struct Dependency {
    name: String,
    reporter: HealthReporter,
}

impl Dependency {
    /// It works.
    pub fn up(&self) {
        self.report(None);
    }

    /// It does not, and why, for the readiness page.
    pub fn down(&self, why: impl Into<String>) {
        self.report(Some(why.into()));
    }

    fn report(&self, failing: Option<String>) {
        let mut state = self.reporter.lock();
        if let Some(dependency) = state.dependencies.get_mut(&self.name) {
            dependency.failing = failing;
            state.publish();
        }
    }

    /// Checks it every `every`, at most `timeout` a check, until the future is dropped: for a dependency that cannot
    /// report by itself. Run it as a task of its own.
    pub async fn check_every<C, F, E>(self, every: Duration, timeout: Duration, mut check: C)
    where
        C: FnMut() -> F,
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match tokio::time::timeout(timeout, check()).await {
                Ok(Ok(())) => self.up(),
                Ok(Err(error)) => self.down(error.to_string()),
                Err(_) => self.down(format!("no answer within {} ms", timeout.as_millis())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(services: &[&str]) -> HealthReporter {
        let health = HealthReporter::new();
        services.iter().for_each(|service| health.add_service(service));
        health.running();
        health
    }

    #[test]
    fn nothing_is_served_before_the_start_and_after_the_end() {
        let health = HealthReporter::new();
        health.add_service("a");
        assert_eq!(health.status("a"), Some(ServingStatus::NotServing));
        health.running();
        assert_eq!(health.status(OVERALL), Some(ServingStatus::Serving));
        health.drain();
        health.running();
        assert_eq!(health.status("a"), Some(ServingStatus::NotServing));
        assert_eq!(health.status("b"), None);
    }

    #[test]
    fn a_dependency_stops_those_who_need_it_and_the_whole() {
        let health = running(&["a", "b"]);
        let database = health.dependency_of("database", ["a"]);
        assert_eq!(health.failing()["database"], "not checked yet");
        database.up();
        assert!(health.statuses().values().all(|status| *status == ServingStatus::Serving));
        database.down("no route");
        assert_eq!(health.status("a"), Some(ServingStatus::NotServing));
        assert_eq!(health.status("b"), Some(ServingStatus::Serving));
        assert_eq!(health.status(OVERALL), Some(ServingStatus::NotServing));
        health.dependency("broker").down("away");
        assert_eq!(health.status("b"), Some(ServingStatus::NotServing));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_counts_as_down() {
        let health = running(&[]);
        let mut overall = health.subscribe(OVERALL).expect("always there");
        let answers = std::sync::atomic::AtomicU32::new(0);
        let check = || {
            let hangs = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, &str>(())
            }
        };
        let second = Duration::from_secs(1);
        let checking = health.dependency("database").check_every(second * 5, second, check);
        let seen = async {
            overall.wait_for(|status| *status == ServingStatus::Serving).await.expect("up");
            overall.wait_for(|status| *status == ServingStatus::NotServing).await.expect("down");
            assert_eq!(health.failing()["database"], "no answer within 1000 ms");
            overall.wait_for(|status| *status == ServingStatus::Serving).await.expect("up again");
        };
        tokio::select! {
            () = checking => unreachable!("it checks for ever"),
            () = seen => {}
        }
    }
}
