//! The connection to the server.

use std::time::Duration;

use anyhow::{Context as _, bail};
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
    let endpoint = Endpoint::from_shared(url(addr)?).with_context(|| format!("--addr {addr} is no URL"))?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
    // A connection whose other end went away without a word is lost, too.
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_secs(10));
    Ok(endpoint.keep_alive_timeout(Duration::from_secs(10)).connect_lazy())
}

/// The URL of an address, which may also be HOST:PORT.
fn url(addr: &str) -> anyhow::Result<String> {
    match addr.split_once("://") {
        None => Ok(format!("http://{addr}")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Ok(addr.to_owned()),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => bail!(
            "--addr {addr}: there is no TLS yet, and nothing is sent in plain text to an https address: give an http \
             address, or HOST:PORT, over a way that is safe by itself, such as a tunnel"
        ),
        Some(_) => bail!("--addr {addr}: give an http address, such as http://127.0.0.1:50051, or HOST:PORT"),
    }
}

/// A client of the receipt service at `addr`.
pub(crate) fn receipts(addr: &str) -> anyhow::Result<Receipts> {
    Ok(Receipts::new(channel(addr)?))
}

/// A client of the admin service at `addr`.
pub(crate) fn admin(addr: &str) -> anyhow::Result<Admin> {
    Ok(Admin::new(channel(addr)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_or_a_host_and_port() {
        for addr in ["127.0.0.1:50051", "http://127.0.0.1:50051", "HTTP://localhost:1", "[::1]:50051"] {
            assert!(url(addr).is_ok_and(|url| url.to_ascii_lowercase().starts_with("http://")), "{addr}");
        }
        for (addr, why) in [
            ("https://receipts.example:443", "there is no TLS yet"),
            ("HTTPS://receipts.example", "there is no TLS yet"),
            ("unix:///run/receiptd", "give an http address"),
        ] {
            let refused = url(addr).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("--addr {addr}: ")) && refused.contains(why), "{refused}");
        }
    }
}
