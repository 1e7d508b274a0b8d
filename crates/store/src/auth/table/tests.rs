use keelson_fuzzing::fuzz;

use super::*;

/// The rows that changes leave, in order.
fn rows(changes: Vec<Vec<Change>>) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = std::collections::BTreeMap::new();
    for (key, value) in changes.into_iter().flatten() {
        match value {
            Some(value) => drop(rows.insert(key, value)),
            None => drop(rows.remove(&key)),
        }
    }
    rows
}

fn changed(table: &mut Table) -> Vec<Vec<Change>> {
    vec![
        table.add_user("root", "hash".into(), false).expect("a user"),
        table.grant_role("root", "root").expect("a role"),
        table.enable().expect("it can be switched on"),
        table.assign("root", b"hash", [7; 32], 9).expect("a token"),
        table.add_role("r").expect("a role"),
    ]
}

#[test]
fn layouts_are_pinned() {
    let rows = rows(changed(&mut Table::default()));
    let user = b"\x0a\x04root\x12\x04hash\x1a\x04root\x22\x00";
    let token = [&[b't'][..], &[7; 32]].concat();
    let expected: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (b"rr".to_vec(), b"\x0a\x01r".to_vec()),
        (b"s".to_vec(), b"\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05".to_vec()),
        (token, b"\0\0\0\0\0\0\0\x09root".to_vec()),
        (b"uroot".to_vec(), user.to_vec()),
    ];
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn rows_give_the_table_back() {
    let mut table = Table::default();
    let mut changes = changed(&mut table);
    changes.push(table.add_user("jane", "h".into(), false).expect("a user"));
    changes.push(table.grant_role("jane", "r").expect("a role"));
    changes.push(table.assign("jane", b"h", [8; 32], 11).expect("a token"));
    changes.push(table.renew(&[[7; 32], [9; 32]], 12));
    changes.push(table.delete_role("r").expect("it is there"));
    changes.push(table.change_password("jane", "other".into()).expect("she is there"));
    let mut loaded = Table::default();
    for (key, value) in rows(changes) {
        loaded.take_row(&key, &value).expect("a row");
    }
    let content = |table: &Table| {
        let state = (table.enabled, table.revision, table.epoch);
        (state, table.users.clone(), table.roles.clone(), table.tokens.clone())
    };
    assert_eq!(content(&loaded), content(&table));
    assert_eq!(loaded.token(&[7; 32]).expect("it was renewed").renewed, 12);
    assert!(loaded.token(&[8; 32]).is_none(), "a new password ends the user's tokens");
    assert!(loaded.take_row(b"?", b"").is_none());
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut table = Table::default();
    changed(&mut table);
    let before = format!("{table:?}");
    table.delete_user("root").expect_err("it is on");
    table.revoke_role("root", "root").expect_err("it is on");
    table.add_user("root", "h".into(), false).expect_err("there is one");
    table.grant_permission("r", None).expect_err("nothing is given");
    table.assign("nobody", b"h", [1; 32], 1).expect_err("there is no such user");
    table.assign("root", b"another", [1; 32], 1).expect_err("the password is another now");
    assert_eq!(format!("{table:?}"), before);
}

#[test]
fn switching_on_is_an_epoch_but_no_revision() {
    let mut table = Table::default();
    table.add_user("root", "h".into(), false).expect("a user");
    table.grant_role("root", "root").expect("a role");
    let before = (table.revision(), table.epoch());
    table.enable().expect("it can be switched on");
    assert_eq!((table.revision(), table.epoch()), (before.0, before.1 + 1));
    table.assign("root", b"h", [1; 32], 1).expect("a token");
    assert_eq!(table.epoch(), before.1 + 1, "a token changes nobody's permissions");
    table.disable().expect("it is on");
    assert_eq!((table.revision(), table.epoch()), (before.0 + 1, before.1 + 2));
    assert!(table.tokens().next().is_none());
}

#[test]
fn a_damaged_state_is_refused_and_switches_nothing_off() {
    let row = |enabled: u8| [&[enabled][..], &4_u64.to_be_bytes(), &5_u64.to_be_bytes()].concat();
    let mut table = Table::default();
    assert!(table.take_row(STATE_KEY, &row(1)).is_some() && table.enabled());
    for enabled in [2, 3, 0x81, 0xff] {
        assert!(table.take_row(STATE_KEY, &row(enabled)).is_none() && table.enabled(), "{enabled}");
    }
}

#[test]
fn rows_of_any_bytes_are_refused_or_switch_nothing_off() {
    let seeds: Vec<Vec<u8>> = rows(changed(&mut Table::default()))
        .into_iter()
        .map(|(key, value)| [&[u8::try_from(key.len()).expect("is short")], &key[..], &value].concat())
        .collect();
    fuzz!(keelson_fuzzing::Bytes::new(seeds, &[b"\x01s", b"\x05uroot", b"\x02rr"]), |bytes| {
        let Some((length, rest)) = bytes.split_first() else { return false };
        let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else { return false };
        let mut table = Table::default();
        if table.take_row(key, value).is_none() {
            return false;
        }
        if key == STATE_KEY {
            let state = [&[u8::from(table.enabled)][..], &table.revision.to_be_bytes(), &table.epoch.to_be_bytes()];
            assert_eq!(state.concat(), value);
        }
        let _ = table.users().iter().map(|user| table.permissions(user)).collect::<Vec<_>>();
        true
    });
}
