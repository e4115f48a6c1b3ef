//! What runs together, and what is given again.

use crate::bench::{Bench, named};
use serde_json::{Value, json};

#[tokio::test]
async fn runs_of_one_script_on_several_disks_are_given_together_as_places_come_free() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2", "D3"]).await;
    bench.script("alone", "hardware_type: storage").await;
    bench.script("each", "hardware_type: storage\nparallel: instance").await;
    bench.script("other", "parallel: any").await;
    bench.script("quick", "parallel: any").await;
    bench.begin(json!({ "scripts": ["other", "each", "alone", "quick"] })).await;
    for disk in ["D1", "D2", "D3"] {
        let items = bench.next(8).await;
        assert_eq!(named(&items), [format!("alone {disk}")], "a script that is alone is alone on each disk");
        bench.passed(&items[0]).await;
    }
    assert_eq!(named(&bench.next(0).await), ["each D1"], "an agent that does not say gets one");
    let two = bench.next(2).await;
    assert_eq!(named(&two), ["each D1", "each D2"], "what it has is named again");
    bench.passed(&two[0]).await;
    let rest = bench.next(2).await;
    assert_eq!(named(&rest), ["each D2", "each D3"], "the free place is filled");
    bench.passed(&rest[1]).await;
    assert_eq!(named(&bench.next(8).await), ["each D2"], "another script waits for the last of them");
    bench.passed(&rest[0]).await;
    let any = bench.next(8).await;
    assert_eq!(named(&any), ["other", "quick"]);
    bench.passed(&any[1]).await;
    bench.passed(&any[0]).await;
    bench.passed(&any[0]).await;
    let machine = bench.machine.clone();
    bench.world.until(&machine, "ready").await;
}

#[tokio::test]
async fn what_does_not_fit_into_one_answer_is_given_in_the_next() {
    let mut bench = Bench::new().await;
    for name in ["large", "larger"] {
        let body = format!(
            "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: {name}\n# script_type: testing\n# parallel: any\n\
             # --- End MAAS 1.0 script metadata ---\n{}",
            "true #########################################################\n".repeat(11_000)
        );
        bench.world.site.post("/scripts", json!({ "body": body })).await.expect(201);
    }
    let operation = bench.begin(json!({ "scripts": ["large", "larger"] })).await;
    let items = bench.next(8).await;
    assert_eq!(named(&items), ["large"]);
    let statuses: Vec<Value> = bench.runs(operation).await.into_iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, ["running", "pending"]);
    bench.step().await;
    let waits = bench.world.running(&bench.machine).await.unwrap().1;
    assert!(waits.starts_with("the agent works on large"), "{waits}");
    bench.passed(&items[0]).await;
    assert_eq!(named(&bench.next(8).await), ["larger"]);
}

#[tokio::test]
async fn a_region_that_died_after_giving_work_gives_the_same_again() {
    let mut bench = Bench::new().await;
    bench.disks(&["D1", "D2", "D3"]).await;
    bench.script("each", "hardware_type: storage\nparallel: instance").await;
    let operation = bench.begin(json!({ "scripts": ["each"] })).await;
    let first = bench.next(2).await;
    // Another owner, a later epoch; the answers got lost, and one result was told twice.
    bench.world.claim_and_die().await;
    bench.world.expire_claims().await;
    bench.step().await;
    let again = bench.next(2).await;
    assert_eq!(named(&again), named(&first));
    assert_eq!(again[0].id, first[0].id);
    assert_eq!(bench.items(operation).await[0].1, 1, "the same boot is one attempt");
    bench.passed(&first[0]).await;
    bench.passed(&first[0]).await;
    assert_eq!(named(&bench.next(2).await), ["each D2", "each D3"]);
}
