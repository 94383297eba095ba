//! Runs a command with a Kafka broker of its own, whose address it finds in `RECEIPT_KAFKA`: for `make test`.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Context as _;
use receipt_tests::broker::Broker;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often it is looked whether the command has ended.
const EVERY: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut words = env::args_os().skip(1);
    let program = words.next().context("usage: with-broker COMMAND [ARGUMENT...]")?;
    // Before there is anything that a signal could leave behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let broker = tokio::select! {
        broker = Broker::start() => broker,
        signal = either(&mut interrupt, &mut terminate) => return Ok(ended_by(signal)),
    };
    let mut command = Command::new(&program);
    command.args(words).env("RECEIPT_KAFKA", broker.bootstrap());
    let mut child = command.spawn().with_context(|| program.display().to_string())?;
    let mut ticks = tokio::time::interval(EVERY);
    let status = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            signal = either(&mut interrupt, &mut terminate) => {
                // The command ends in its own way; where a terminal has told it already, it is told again.
                let _ = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
            }
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
    };
    // Nobody needs its data any more, so it need not end in order.
    drop(broker);
    Ok(exit_code(status))
}

/// The next signal's number.
async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        (None, signal) => ended_by(signal.unwrap_or_default()),
    }
}

/// As a shell has it.
fn ended_by(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))
}
