//! Authentication survives: restarts, a snapshot that replaces everything. And certificates are users.

mod common;

use common::{Cluster, eventually};
use keelson_proto::authpb::{Permission, UserAddOptions, permission::Type};
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest, RangeRequest,
};
use keelson_store::Tls;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

/// A connection to a member with the certificate of `tls`.
async fn channel(cluster: &Cluster, member: usize, tls: &Tls) -> Channel {
    let read = |path| std::fs::read(path).expect("the file is there");
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&tls.ca)))
        .identity(Identity::from_pem(read(&tls.certificate), read(&tls.key)))
        .domain_name("localhost");
    let address = format!("https://{}", cluster.store_address(member));
    let endpoint = Endpoint::from_shared(address).expect("a good address").tls_config(config).expect("good TLS");
    endpoint.connect_lazy()
}

fn user(name: &str, no_password: bool) -> AuthUserAddRequest {
    let password = if no_password { String::new() } else { "pw".to_owned() };
    let options = Some(UserAddOptions { no_password });
    AuthUserAddRequest { name: name.to_owned(), password, options, ..AuthUserAddRequest::default() }
}

fn role(user: &str, role: &str) -> AuthUserGrantRoleRequest {
    AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() }
}

/// Adds root with a password, and `machine`, who comes by its certificate and may write `machine/…`; gives root's token.
async fn set_up(channel: Channel) -> String {
    let mut auth = AuthClient::new(channel);
    auth.user_add(user("root", false)).await.expect("a user");
    auth.user_grant_role(role("root", "root")).await.expect("a role");
    auth.user_add(user("machine", true)).await.expect("a user");
    auth.role_add(AuthRoleAddRequest { name: "machine".to_owned() }).await.expect("a role");
    let perm = Permission { perm_type: Type::Readwrite.into(), key: "machine/".into(), range_end: "machine0".into() };
    let grant = AuthRoleGrantPermissionRequest { name: "machine".to_owned(), perm: Some(perm) };
    auth.role_grant_permission(grant).await.expect("a permission");
    auth.user_grant_role(role("machine", "machine")).await.expect("a role");
    auth.auth_enable(AuthEnableRequest {}).await.expect("it can be switched on");
    let login = AuthenticateRequest { name: "root".to_owned(), password: "pw".to_owned() };
    auth.authenticate(login).await.expect("the password is right").into_inner().token
}

/// Puts. A member that gets a snapshot meanwhile, or knows no leader yet, cannot tell the outcome, and is asked again.
fn put(cluster: &Cluster, member: usize, channel: &Channel, token: Option<&str>, key: &str) -> Result<(), Status> {
    eventually("the outcome of a put", || {
        let mut request = Request::new(PutRequest { key: key.to_owned().into(), ..PutRequest::default() });
        if let Some(token) = token {
            request.metadata_mut().insert("token", token.parse().expect("text"));
        }
        match cluster.on(member, KvClient::new(channel.clone()).put(request)) {
            Err(status) if status.code() == Code::Unavailable => None,
            outcome => Some(outcome.map(drop)),
        }
    })
}

/// What must hold on each member, whatever happened to it.
fn in_force(cluster: &Cluster, member: usize, token: &str) {
    let connect = |name| {
        let tls = common::certify(&cluster.folder().join("pki"), name);
        cluster.on(member, channel(cluster, member, &tls))
    };
    let (machine, stranger) = (connect("machine"), connect("stranger"));
    // A member that has just started again may not have applied yet that authentication is on.
    let written = || put(cluster, member, &machine, None, "machine/a").ok();
    eventually("a put by whom its certificate names", written);
    let denied = put(cluster, member, &machine, None, "other").expect_err("it may not");
    assert_eq!((denied.code(), denied.message()), (Code::PermissionDenied, "etcdserver: permission denied"));
    // A token says more than a certificate.
    put(cluster, member, &machine, Some(token), "other").expect("it is root's token");
    let denied = put(cluster, member, &stranger, None, "machine/a").expect_err("nobody knows it");
    assert_eq!(denied.code(), Code::PermissionDenied);
    // A gateway's own certificate is not its clients'.
    let mut through_gateway = Request::new(RangeRequest { key: "machine/a".into(), ..RangeRequest::default() });
    through_gateway.metadata_mut().insert("grpcgateway-accept", "*/*".parse().expect("text"));
    let ranged = cluster.on(member, KvClient::new(machine).range(through_gateway));
    let nobody = ranged.expect_err("it does not say for whom");
    assert_eq!(nobody.message(), "etcdserver: user name is empty");
    let forged = put(cluster, member, &stranger, Some("forged"), "machine/a").expect_err("nobody was given it");
    assert_eq!((forged.code(), forged.message()), (Code::Unauthenticated, "etcdserver: invalid auth token"));
}

#[test]
fn users_and_tokens_survive_restarts_and_a_snapshot() {
    let mut cluster = Cluster::start_with(3, |options| {
        options.auth.bcrypt_cost = 4;
        options.snapshot_every_entries = 20;
        options.log_entries_to_keep = 5;
    });
    let pki = cluster.folder().join("pki");
    let client = common::certify(&pki, "client");
    let token = cluster.on(0, async { set_up(channel(&cluster, 0, &client).await).await });
    for member in 0..3 {
        in_force(&cluster, member, &token);
    }
    // One member gets all of it by a snapshot: the log that said it is gone.
    let wiped = cluster.follower();
    cluster.kill(wiped);
    cluster.wipe(wiped);
    let writer = cluster.leader();
    let writing = cluster.on(writer, channel(&cluster, writer, &client));
    for i in 0..100 {
        put(&cluster, writer, &writing, Some(&token), &format!("key-{i}")).expect("a put");
    }
    cluster.start_member(wiped);
    let (again, leader) = (cluster.handle(wiped), cluster.handle(writer));
    eventually("the wiped member", || (again.revision() >= leader.revision()).then_some(()));
    drop((again, leader));
    in_force(&cluster, wiped, &token);

    for member in 0..3 {
        cluster.kill(member);
    }
    for member in 0..3 {
        cluster.start_member(member);
    }
    cluster.leader();
    for member in 0..3 {
        in_force(&cluster, member, &token);
    }
}
