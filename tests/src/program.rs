//! A program that talks with the test by lines.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::poll::until;

/// How long one step of it may take.
const STEP_MAX: Duration = Duration::from_secs(300);

/// A running program; ended with its handle.
pub struct Program {
    name: String,
    child: Child,
    lines: UnboundedReceiver<String>,
    /// What it prints to standard error.
    errors: File,
}

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let errors = tempfile::tempfile().expect("a temporary file");
        command.stderr(errors.try_clone().expect("a handle")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{name}: {why}"));
        let stdout = child.stdout.take().expect("standard output");
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || {
            // Nobody listens any more where the test is over.
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { name, child, lines, errors }
    }

    /// Waits until it prints this line, which has to be its next.
    ///
    /// # Panics
    /// If it prints another, or ends.
    pub async fn says(&mut self, line: &str) {
        match tokio::time::timeout(STEP_MAX, self.lines.recv()).await {
            Ok(Some(said)) if said == line => {}
            Ok(Some(said)) => panic!("{} says {said:?} instead of {line:?}", self.name),
            Ok(None) => self.failed(&format!("ended before {line:?}")),
            Err(_) => self.failed(&format!("does not get to {line:?}")),
        }
    }

    /// Tells it this line.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn hears(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input");
        writeln!(stdin, "{line}").expect("it listens");
    }

    /// Waits until it has ended well; the lines that nobody has waited for.
    ///
    /// # Panics
    /// If it goes on, or fails.
    pub async fn ends(mut self) -> Vec<String> {
        let status = until("the program ends", STEP_MAX, async || self.child.try_wait().expect("its state")).await;
        if !status.success() {
            self.failed(&status.to_string());
        }
        let mut lines = Vec::new();
        while let Some(line) = self.lines.recv().await {
            lines.push(line);
        }
        lines
    }

    fn failed(&mut self, how: &str) -> ! {
        let _ = self.child.kill();
        let mut printed = String::new();
        while let Ok(line) = self.lines.try_recv() {
            printed.push_str(&line);
            printed.push('\n');
        }
        self.errors.rewind().expect("a file");
        self.errors.read_to_string(&mut printed).expect("text");
        panic!("{}: {how}; it printed:\n{printed}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
