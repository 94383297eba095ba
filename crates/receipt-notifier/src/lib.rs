//! The second projection: receipts.deltas folded by sender into inboxes, and subscriptions over them.
//!
//! A subscription is a cursor and a wake-up. It reads what is after its cursor, tells it, and moves on, so a slow client
//! costs nothing and coalesces by itself, and live and resumed streams are the same code (S33 to S36).

mod arrivals;
mod cursor;
mod inbox;
mod machine;
mod notifier;
mod subscription;
mod wakeups;

pub use cursor::Cursor;
pub use inbox::Inbox;
pub use notifier::{Notifier, Options};
pub use subscription::{Start, SubscribeError, Subscription, Told};
