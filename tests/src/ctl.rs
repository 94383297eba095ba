//! The real receiptctl.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::server::{Server, binary};

/// A command that is ready to run against `server`.
#[must_use]
pub fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(binary("receiptctl"));
    command.env_clear().env("RECEIPTCTL_ADDR", server.url()).args(args);
    command
}

/// Runs it to its end.
///
/// # Panics
/// If it cannot be started.
pub async fn run(server: &Server, args: &[&str]) -> Output {
    let mut command = command(server, args);
    tokio::task::spawn_blocking(move || command.output().expect("receiptctl runs")).await.expect("a thread")
}

/// Starts it, to be ended with [`Running`].
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start(server: &Server, args: &[&str]) -> Running {
    spawn(command(server, args))
}

/// Starts a command that speaks to no server.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start_alone(args: &[&str]) -> Running {
    start_within(&[], args)
}

/// Starts a command that speaks to no server, with these environment variables.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start_within(environment: &[(String, String)], args: &[&str]) -> Running {
    let mut command = Command::new(binary("receiptctl"));
    command.env_clear().envs(environment.iter().cloned()).args(args);
    spawn(command)
}

fn spawn(mut command: Command) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(Some(command.spawn().expect("receiptctl starts")))
}

/// What it printed, after it went well.
///
/// # Panics
/// If it did not.
#[must_use]
pub fn stdout(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "receiptctl ended with {}: {said}", output.status);
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What it printed, as JSON, after it went well.
///
/// # Panics
/// If it did not.
#[must_use]
pub fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("one JSON document")
}

/// What it printed, as JSON, also where the answer holds an error, of which the exit code tells.
///
/// # Panics
/// If it printed no answer.
#[must_use]
pub fn answer(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "receiptctl ended with {}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("one JSON document: {why}; {said}"))
}

/// A receiptctl that is running; killed with its handle.
pub struct Running(Option<Child>);

impl Running {
    /// Whether it has ended.
    ///
    /// # Panics
    /// If that cannot be known.
    pub fn has_ended(&mut self) -> bool {
        self.0.as_mut().is_none_or(|child| child.try_wait().expect("the state of a child").is_some())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If that cannot be waited for.
    pub async fn output(mut self) -> Output {
        let child = self.0.take().expect("running");
        tokio::task::spawn_blocking(move || child.wait_with_output().expect("its output")).await.expect("a thread")
    }

    /// Presses Ctrl-C.
    ///
    /// # Panics
    /// If it cannot be told.
    pub fn interrupt(&self) {
        let pid = self.0.as_ref().expect("running").id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    }

    /// Ends it in the middle of what it does.
    pub fn kill_9(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Fails where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_9();
    }
}
