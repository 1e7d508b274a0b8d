//! Who may tie keys to a lease: who may write all that is tied to it, however much that is.

use keelson_proto::authpb::{Permission, permission::Type};
use keelson_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserGrantRoleRequest,
};
use keelson_proto::keelson::store::v1::auth_command::Command as A;
use keelson_proto::keelson::store::v1::{AuthCommand, AuthUserAdd, LeaseGrant, refusal::Reason, reply};

use super::*;

const LEASE: i64 = 7;

fn leased(key: &str) -> C {
    let C::Put(put) = put(key, "") else { unreachable!("it is a put") };
    C::Put(PutRequest { lease: LEASE, ..put })
}

/// A state with authentication on, and a user who may write `b` to `c`, `m` and what follows `x`.
fn guarded() -> (tempfile::TempDir, State) {
    let (folder, mut state) = open();
    let auth = |command| C::Auth(AuthCommand { command: Some(command) });
    let user =
        |name: &str| auth(A::UserAdd(AuthUserAdd { name: name.to_owned(), no_password: true, ..Default::default() }));
    let role = |user: &str| {
        let (user, role) = (user.to_owned(), user.to_owned());
        auth(A::UserGrantRole(AuthUserGrantRoleRequest { user, role }))
    };
    let may_write = |key: &'static str, range_end: &'static str| {
        let perm = Permission { perm_type: Type::Write.into(), key: key.into(), range_end: range_end.into() };
        auth(A::RoleGrantPermission(AuthRoleGrantPermissionRequest { name: "user".to_owned(), perm: Some(perm) }))
    };
    let replies = apply(
        &mut state,
        vec![
            user("root"),
            role("root"),
            user("user"),
            auth(A::RoleAdd(AuthRoleAddRequest { name: "user".to_owned() })),
            role("user"),
            may_write("b", "c"),
            may_write("m", ""),
            may_write("x", "\0"),
            auth(A::Enable(AuthEnableRequest {})),
            C::LeaseGrant(LeaseGrant { id: LEASE, ttl_seconds: 60 }),
        ],
    );
    for reply in replies {
        assert!(!matches!(reply.reply, Some(reply::Reply::Refusal(_))), "{reply:?}");
    }
    (folder, state)
}

/// Applies commands, of the store itself and of the user, in one entry; says of each of the user's whether it took effect.
fn mixed(state: &mut State, commands: Vec<(bool, C)>) -> Vec<bool> {
    let auth_epoch = state.reader().auth().now().0;
    let own: Vec<bool> = commands.iter().map(|(of_user, _)| *of_user).collect();
    let commands = commands.into_iter().map(|(of_user, command)| {
        let (auth_epoch, auth_user) = if of_user { (auth_epoch, "user".to_owned()) } else { (0, String::new()) };
        Command { command: Some(command), auth_epoch, auth_user, ..Command::default() }
    });
    let batch = Batch { commands: commands.collect(), ..Batch::default() };
    let index = state.applied().index + 1;
    let entry = Entry { index, term: 1, log_id: Bytes::from(index.to_string()), payload: Payload::Batch(batch) };
    let replies = state.apply(vec![entry]).expect("applies").pop().expect("one entry");
    state.validate();
    let of_user = own.into_iter().zip(replies).filter(|(of_user, _)| *of_user);
    let done = of_user.map(|(_, reply)| match reply.reply {
        Some(reply::Reply::Refusal(refusal)) => {
            assert_eq!(refusal.reason(), Reason::AuthPermissionDenied);
            false
        }
        _ => true,
    });
    done.collect()
}

#[test]
fn a_key_outside_of_the_users_ranges_closes_the_lease_wherever_it_is_written() {
    for foreign in ["a", "aé", "c", "l", "m\0", "n", "w"] {
        let (_folder, mut state) = guarded();
        let own = ["b", "bb", "m", "x", "z"];
        let tied = mixed(&mut state, own.iter().map(|key| (true, leased(key))).collect());
        assert_eq!(tied, [true; 5]);
        // In the same slice as the user's, and before it.
        let seen = mixed(&mut state, vec![(true, leased("b1")), (false, leased(foreign)), (true, leased("b2"))]);
        assert_eq!(seen, [true, false], "{foreign}");
        assert_eq!(mixed(&mut state, vec![(true, leased("b2"))]), [false], "{foreign}");
        // Detached in the same slice, and attached again.
        let seen = vec![
            (false, put(foreign, "without")),
            (true, leased("b2")),
            (false, leased(foreign)),
            (true, leased("b3")),
            (false, delete(foreign)),
            (true, leased("b4")),
        ];
        assert_eq!(mixed(&mut state, seen), [true, false, true], "{foreign}");
        assert_eq!(mixed(&mut state, vec![(true, leased("b5"))]), [true], "{foreign}");
    }
}
