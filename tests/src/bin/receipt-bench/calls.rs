//! Receipts a second through the gRPC call, with 32 callers.

pub(crate) fn run() -> anyhow::Result<()> {
    Ok(())
}
