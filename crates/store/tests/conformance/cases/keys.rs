//! Range, Put and DeleteRange.

use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::{DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest};

use crate::run::{Run, put, range};

pub async fn ranges(run: &mut Run) {
    run.group("range").await;
    for (key, value) in
        [("r/b", "1"), ("r/a", "3"), ("r/c", "2"), ("r/a", "4"), ("r/d", ""), ("r/c", "0"), ("r/e", "5")]
    {
        run.put(key, value).await;
    }
    let (base, all) = (run.base, range("r/", "r0"));
    for target in [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value] {
        for order in [SortOrder::None, SortOrder::Ascend, SortOrder::Descend] {
            let sorted = RangeRequest { sort_target: target.into(), sort_order: order.into(), limit: 3, ..all.clone() };
            let answer = run.kv.range(sorted).await;
            run.case(format!("sorted by {target:?} {order:?}"), answer);
        }
    }
    let cases = [
        ("one key", range("r/a", "")),
        ("a missing key", range("r/none", "")),
        ("a prefix", all.clone()),
        ("a part", range("r/b", "r/d")),
        ("from a key", range("r/d", "r0")),
        ("an end before its start", range("r/d", "r/a")),
        ("an end at its start", range("r/d", "r/d")),
        ("no key", range("", "")),
        ("no key but an end", range("", "r0")),
        ("limit 1", RangeRequest { limit: 1, ..all.clone() }),
        ("limit of exactly all", RangeRequest { limit: 5, ..all.clone() }),
        ("limit above all", RangeRequest { limit: 6, ..all.clone() }),
        ("negative limit", RangeRequest { limit: -1, ..all.clone() }),
        ("keys only", RangeRequest { keys_only: true, ..all.clone() }),
        ("keys only by value", RangeRequest { keys_only: true, sort_target: 4, sort_order: 1, ..all.clone() }),
        ("count only", RangeRequest { count_only: true, ..all.clone() }),
        ("count only with a limit", RangeRequest { count_only: true, limit: 2, ..all.clone() }),
        ("count only with a bound", RangeRequest { count_only: true, min_mod_revision: base + 5, ..all.clone() }),
        ("count only and keys only", RangeRequest { count_only: true, keys_only: true, ..all.clone() }),
        ("serializable", RangeRequest { serializable: true, ..range("r/a", "") }),
        ("at an old revision", RangeRequest { revision: base + 3, ..all.clone() }),
        ("at the revision before", RangeRequest { revision: base, ..all.clone() }),
        ("at a future revision", RangeRequest { revision: base + 1000, ..all.clone() }),
        ("count at a future revision", RangeRequest { revision: base + 1000, count_only: true, ..all.clone() }),
        ("at a negative revision", RangeRequest { revision: -5, ..all.clone() }),
        ("min mod revision", RangeRequest { min_mod_revision: base + 4, ..all.clone() }),
        ("max mod revision", RangeRequest { max_mod_revision: base + 4, ..all.clone() }),
        ("min create revision", RangeRequest { min_create_revision: base + 3, ..all.clone() }),
        ("max create revision", RangeRequest { max_create_revision: base + 3, ..all.clone() }),
        ("bounds that exclude all", RangeRequest { min_mod_revision: 9, max_mod_revision: 1, ..all.clone() }),
        ("bounds with a limit", RangeRequest { min_mod_revision: base + 4, limit: 2, ..all.clone() }),
        (
            "bounds, order and limit",
            RangeRequest { max_mod_revision: base + 6, limit: 2, sort_order: 2, ..all.clone() },
        ),
        ("an unknown order", RangeRequest { sort_order: 3, ..all.clone() }),
        ("a negative order", RangeRequest { sort_order: -1, ..all.clone() }),
        // An unknown target is not asked for: it crashes etcd 3.4.
        ("no key and an unknown order", RangeRequest { sort_order: 3, ..range("", "") }),
    ];
    for (name, request) in cases {
        let answer = run.kv.range(request).await;
        run.case(name, answer);
    }
}

pub async fn puts(run: &mut Run) {
    run.group("put").await;
    let lease = 70_001;
    run.lease.lease_grant(LeaseGrantRequest { id: lease, ttl: 600 }).await.expect("a lease");
    let cases = [
        ("a new key", put("p/a", "1")),
        ("again", put("p/a", "2")),
        ("with the previous", PutRequest { prev_kv: true, ..put("p/a", "3") }),
        ("new with the previous", PutRequest { prev_kv: true, ..put("p/b", "1") }),
        ("an empty value", put("p/c", "")),
        ("no key", put("", "1")),
        ("with a lease", PutRequest { lease, prev_kv: true, ..put("p/a", "4") }),
        ("its lease ignored", PutRequest { ignore_lease: true, prev_kv: true, ..put("p/a", "5") }),
        ("its value ignored", PutRequest { ignore_value: true, lease, prev_kv: true, ..put("p/a", "") }),
        ("both ignored", PutRequest { ignore_value: true, ignore_lease: true, prev_kv: true, ..put("p/a", "") }),
        ("without the lease", PutRequest { prev_kv: true, ..put("p/a", "6") }),
        ("the value ignored and given", PutRequest { ignore_value: true, ..put("p/a", "7") }),
        ("the lease ignored and given", PutRequest { ignore_lease: true, lease, ..put("p/a", "7") }),
        ("the value of a missing key ignored", PutRequest { ignore_value: true, ..put("p/none", "") }),
        ("the lease of a missing key ignored", PutRequest { ignore_lease: true, ..put("p/none", "1") }),
        ("an unknown lease", PutRequest { lease: 70_099, ..put("p/a", "7") }),
        ("a negative lease", PutRequest { lease: -1, ..put("p/a", "7") }),
        ("no key and a value that is ignored", PutRequest { ignore_value: true, ..put("", "7") }),
        ("an unknown lease and a missing key", PutRequest { lease: 70_099, ignore_value: true, ..put("p/none", "") }),
        ("a key of any bytes", PutRequest { key: vec![0, 255, 1, b'/'].into(), ..put("", "1") }),
    ];
    for (name, request) in cases {
        let answer = run.kv.put(request).await;
        run.case(name, answer);
    }
    let answer = run.kv.range(range("p/", "p0")).await;
    run.case("what is left", answer);
    let bytes = RangeRequest { key: vec![0, 255, 1, b'/'].into(), ..Default::default() };
    let answer = run.kv.range(bytes).await;
    run.case("the key of any bytes is found", answer);
}

pub async fn deletions(run: &mut Run) {
    run.group("delete").await;
    for key in ["d/a", "d/b", "d/c", "d/d", "d/e"] {
        run.put(key, "1").await;
    }
    let delete = |key: &str, range_end: &str, prev_kv: bool| DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        prev_kv,
    };
    for (name, request) in [
        ("one key", delete("d/a", "", false)),
        ("it again", delete("d/a", "", true)),
        ("with the previous", delete("d/b", "", true)),
        ("an end before its start", delete("d/e", "d/a", false)),
        ("a range with the previous", delete("d/c", "d/e", true)),
        ("no key", delete("", "", false)),
        ("no key but an end", delete("", "d0", false)),
        ("all", delete("d/", "d0", true)),
        ("nothing", delete("d/", "d0", true)),
    ] {
        let answer = run.kv.delete_range(request).await;
        run.case(name, answer);
    }
    let answer = run.kv.put(put("d/a", "born again")).await;
    run.case("a put after it", answer);
    let answer = run.kv.range(range("d/", "d0")).await;
    run.case("what is left", answer);
}
