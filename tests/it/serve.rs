//! The service's page on a socket.

use std::time::Duration;

use crate::served::Served;

/// Holds a page open, to be looked at in a browser: `GOLIVE_OFFERS=2000 cargo test --test it
/// serve::to_look_at -- --ignored --nocapture`. One offer moves on all the time. It ends with ^C.
#[tokio::test]
#[ignore = "it never ends: it is there to be looked at"]
async fn to_look_at() {
    let offers = std::env::var("GOLIVE_OFFERS").map_or(10, |count| count.parse().unwrap());
    let served = Served::with_offers(offers).await;
    if std::env::var_os("GOLIVE_WRONG").is_some() {
        served.manifests("offers/network/firewall.yaml", "publisher: contoso\nstat: live\n");
    }
    let moving = "contoso/backup-vault".parse().unwrap();
    served.decide(&moving, 5);
    println!("{}", served.url("/"));
    for percent in (42..=100).cycle() {
        tokio::time::sleep(Duration::from_secs(3)).await;
        if let Some(mut record) = served.store.get(&moving) {
            if let Some(operation) = &mut record.operation {
                operation.steps[3].progress = Some(percent);
            }
            served.set(&moving, record);
        }
    }
}
