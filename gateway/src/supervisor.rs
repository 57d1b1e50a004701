//! A named set of tasks that belong together: when one ends unasked or panics, the whole process stops and says which.
//!
//! Nothing is spawned and forgotten: a gateway that lost one of its tasks would look alive and water nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use tokio::task::{Id, JoinSet};

/// How long a stopping task may take before it is aborted: longer than the slowest commit, shorter than a service
/// manager's patience.
pub const STOP_MAX: Duration = Duration::from_secs(10);

/// Tasks by name.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: BTreeMap<Id, &'static str>,
}

impl Supervisor {
    /// Starts a task. It is expected to run until it is told to stop.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until any task ends, and says which and how. Cancel-safe.
    ///
    /// # Errors
    /// The task's own error, its panic, or the fact that it ended unasked.
    pub async fn first_end(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next_with_id().await {
            None => Ok(()),
            Some(Ok((id, Ok(())))) => anyhow::bail!("{} ended unasked", self.name(id)),
            Some(Ok((id, Err(error)))) => Err(error.context(format!("{} failed", self.name(id)))),
            Some(Err(error)) => {
                let name = self.name(error.id());
                Err(anyhow::Error::new(error).context(format!("{name} panicked")))
            }
        }
    }

    /// Waits for all tasks after they were told to stop; aborts what hangs and names it.
    ///
    /// # Errors
    /// The first failure, or the names of the tasks that did not stop within [`STOP_MAX`].
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let drain = async {
            while let Some(end) = self.tasks.join_next_with_id().await {
                let (id, result) = match end {
                    Ok((id, result)) => (id, result),
                    Err(error) => (error.id(), Err(anyhow::Error::new(error))),
                };
                let name = self.names.remove(&id).unwrap_or("task");
                if let (Err(error), Ok(())) = (result, &outcome) {
                    outcome = Err(error.context(format!("{name} failed while stopping")));
                }
            }
        };
        if tokio::time::timeout(STOP_MAX, drain).await.is_err() {
            let hung: Vec<_> = self.names.values().copied().collect();
            self.tasks.abort_all();
            anyhow::bail!("did not stop in {} s: {}", STOP_MAX.as_secs(), hung.join(", "));
        }
        outcome
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("task")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_unasked_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("quick", async { Ok(()) });
        let error = supervisor.first_end().await.expect_err("an end is a failure");
        assert_eq!(error.to_string(), "quick ended unasked");
    }

    #[tokio::test]
    async fn a_panic_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("shaky", async { panic!("as the test wants") });
        let error = supervisor.first_end().await.expect_err("a panic is a failure");
        assert_eq!(error.to_string(), "shaky panicked");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("stuck", std::future::pending());
        let error = supervisor.stop().await.expect_err("it hangs");
        assert_eq!(error.to_string(), "did not stop in 10 s: stuck");
    }
}
