//! The connection to the server.

use std::time::Duration;

use anyhow::Context as _;
use receipt_proto::v1::{
    receipt_admin_service_client::ReceiptAdminServiceClient, receipt_service_client::ReceiptServiceClient,
};
use tonic::transport::{Channel, Endpoint};

/// The client of the receipt service.
pub(crate) type Receipts = ReceiptServiceClient<Channel>;
/// The client of the admin service.
pub(crate) type Admin = ReceiptAdminServiceClient<Channel>;

/// A channel that connects when it is first used, and again whenever the connection is lost.
fn channel(addr: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(addr.to_owned()).with_context(|| format!("--addr {addr} is no URL"))?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
    // A connection whose other end went away without a word is lost, too.
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(10));
    Ok(endpoint.keep_alive_timeout(Duration::from_secs(10)).connect_lazy())
}

/// A client of the receipt service at `addr`.
pub(crate) fn receipts(addr: &str) -> anyhow::Result<Receipts> {
    Ok(Receipts::new(channel(addr)?))
}

/// A client of the admin service at `addr`.
pub(crate) fn admin(addr: &str) -> anyhow::Result<Admin> {
    Ok(Admin::new(channel(addr)?))
}
