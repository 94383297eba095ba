//! `receiptctl policy`: which group types may ask for receipts.

use clap::{Args, Subcommand};
use receipt_proto::v1;
use serde_json::json;

use crate::{client, output::Output, render};

/// Which group types' messages may ask for receipts. One-to-one messages always may.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl policy get
  receiptctl policy set work meeting
  receiptctl policy set --every
  receiptctl policy set --none")]
pub(crate) struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The last policy that every partition has applied.
    Get,
    /// A new policy, from here on in every partition's log; what was sent before stays as it is.
    Set(Set),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Set {
    /// These types, matched exactly, at most 10,000.
    #[arg(value_name = "TYPE")]
    group_types: Vec<String>,
    /// Every type.
    #[arg(long)]
    every: bool,
    /// No type.
    #[arg(long)]
    none: bool,
}

impl Policy {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let mut client = client::admin(addr)?;
        match self.what {
            What::Get => {
                let policy = client.get_receipt_policy(v1::GetReceiptPolicyRequest {}).await?.into_inner().policy;
                let json = json!({ "policy": render::policy_json(policy.as_ref()) });
                output.print(&json, || render::policy_line(policy.as_ref()))
            }
            What::Set(Set { group_types, every, none: _ }) => {
                let policy = Some(v1::ReceiptPolicy { every_group_type: every, group_types });
                let request = v1::SetReceiptPolicyRequest { policy };
                let token = client.set_receipt_policy(request).await?.into_inner().consistency_token;
                output.print(&json!({ "consistency_token": token }), || render::token_line(&token))
            }
        }
    }
}
