//! The Auth service: users, roles and permissions, and tokens for passwords.
//!
//! Passwords are hashed and compared here, on the member that is asked; the log has hashes only.

mod authenticate;

use keelson_proto::authpb::Permission;
use keelson_proto::authpb::permission::Type;
use keelson_proto::etcdserverpb::auth_server::Auth;
use keelson_proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthRoleAddRequest,
    AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse, AuthRoleGetRequest, AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest, AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest, AuthStatusResponse,
    AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse,
    AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse, ResponseHeader,
};
use keelson_proto::keelson::store::v1::auth_command::Command;
use keelson_proto::keelson::store::v1::{AuthUserAdd, AuthUserChangePassword};
use tonic::{Request, Response, Status};

use super::front::Front;
use super::guard::Caller;
use crate::Error;
use crate::auth::ROOT;

impl Front {
    /// Makes a change, for root.
    async fn change(&self, caller: &Caller, change: Command) -> Result<Option<ResponseHeader>, Status> {
        let mut changed = caller.change_auth(change).await?;
        self.complete(&mut changed.header);
        Ok(changed.header)
    }

    /// The hash that a password is kept as. One that a request brings along does not count, as in etcd.
    async fn password_hash(&self, password: String) -> Result<bytes::Bytes, Error> {
        self.handle.auth().passwords.hash(password).await.map(bytes::Bytes::from)
    }
}

/// What reading the role root shows: everything.
fn everything() -> Permission {
    Permission {
        key: bytes::Bytes::new(),
        range_end: bytes::Bytes::from_static(b"\0"),
        perm_type: Type::Readwrite.into(),
    }
}

/// A change whose request is its command, for root.
macro_rules! change {
    ($self:ident, $request:ident, $command:ident, $response:ident) => {{
        let (caller, request) = $self.enter($request)?;
        let header = $self.change(&caller, Command::$command(request)).await?;
        Ok(Response::new($response { header }))
    }};
}

#[tonic::async_trait]
impl Auth for Front {
    async fn auth_enable(&self, request: Request<AuthEnableRequest>) -> Result<Response<AuthEnableResponse>, Status> {
        change!(self, request, Enable, AuthEnableResponse)
    }

    async fn auth_disable(
        &self,
        request: Request<AuthDisableRequest>,
    ) -> Result<Response<AuthDisableResponse>, Status> {
        change!(self, request, Disable, AuthDisableResponse)
    }

    /// Anybody may ask: it is how clients find out that they need to authenticate.
    async fn auth_status(&self, request: Request<AuthStatusRequest>) -> Result<Response<AuthStatusResponse>, Status> {
        self.enter(request)?;
        let revision = self.handle.read_barrier().await?;
        let table = self.handle.gate().table();
        let (enabled, auth_revision) = (table.enabled(), table.revision());
        Ok(Response::new(AuthStatusResponse { header: Some(self.header(revision)), enabled, auth_revision }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let (_, request) = self.enter(request)?;
        let token = authenticate::token(&self.handle, request).await?;
        Ok(Response::new(AuthenticateResponse { header: Some(self.header(self.handle.revision())), token }))
    }

    async fn user_add(&self, request: Request<AuthUserAddRequest>) -> Result<Response<AuthUserAddResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        // Before the work of hashing.
        caller.root().await?;
        let no_password = request.options.is_some_and(|options| options.no_password);
        let password_hash =
            if no_password { bytes::Bytes::new() } else { self.password_hash(request.password).await? };
        let add = Command::UserAdd(AuthUserAdd { name: request.name, password_hash, no_password });
        let header = self.change(&caller, add).await?;
        Ok(Response::new(AuthUserAddResponse { header }))
    }

    /// Users may look at themselves.
    async fn user_get(&self, request: Request<AuthUserGetRequest>) -> Result<Response<AuthUserGetResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let revision = self.handle.read_barrier().await?;
        caller.root_or(|user| user == request.name).await?;
        let table = self.handle.gate().table();
        let user = table.user(&request.name).ok_or(Error::UserNotFound)?;
        let (header, roles) = (Some(self.header(revision)), user.roles.clone());
        Ok(Response::new(AuthUserGetResponse { header, roles }))
    }

    async fn user_list(&self, request: Request<AuthUserListRequest>) -> Result<Response<AuthUserListResponse>, Status> {
        let (caller, _) = self.enter(request)?;
        let header = Some(self.header(self.handle.read_barrier().await?));
        let users = caller.root().await?.gate().table().users();
        Ok(Response::new(AuthUserListResponse { header, users }))
    }

    async fn user_delete(
        &self,
        request: Request<AuthUserDeleteRequest>,
    ) -> Result<Response<AuthUserDeleteResponse>, Status> {
        change!(self, request, UserDelete, AuthUserDeleteResponse)
    }

    async fn user_change_password(
        &self,
        request: Request<AuthUserChangePasswordRequest>,
    ) -> Result<Response<AuthUserChangePasswordResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        caller.root().await?;
        let password_hash = self.password_hash(request.password).await?;
        let change = Command::UserChangePassword(AuthUserChangePassword { name: request.name, password_hash });
        let header = self.change(&caller, change).await?;
        Ok(Response::new(AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<AuthUserGrantRoleRequest>,
    ) -> Result<Response<AuthUserGrantRoleResponse>, Status> {
        change!(self, request, UserGrantRole, AuthUserGrantRoleResponse)
    }

    async fn user_revoke_role(
        &self,
        request: Request<AuthUserRevokeRoleRequest>,
    ) -> Result<Response<AuthUserRevokeRoleResponse>, Status> {
        change!(self, request, UserRevokeRole, AuthUserRevokeRoleResponse)
    }

    async fn role_add(&self, request: Request<AuthRoleAddRequest>) -> Result<Response<AuthRoleAddResponse>, Status> {
        change!(self, request, RoleAdd, AuthRoleAddResponse)
    }

    /// Users may look at the roles that they have.
    async fn role_get(&self, request: Request<AuthRoleGetRequest>) -> Result<Response<AuthRoleGetResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let revision = self.handle.read_barrier().await?;
        let table = self.handle.gate().table();
        caller.root_or(|user| table.has_role(user, &request.role)).await?;
        let role = table.role(&request.role).ok_or(Error::RoleNotFound)?;
        let perm = if request.role == ROOT { vec![everything()] } else { role.key_permission.clone() };
        Ok(Response::new(AuthRoleGetResponse { header: Some(self.header(revision)), perm }))
    }

    async fn role_list(&self, request: Request<AuthRoleListRequest>) -> Result<Response<AuthRoleListResponse>, Status> {
        let (caller, _) = self.enter(request)?;
        let header = Some(self.header(self.handle.read_barrier().await?));
        let roles = caller.root().await?.gate().table().roles();
        Ok(Response::new(AuthRoleListResponse { header, roles }))
    }

    async fn role_delete(
        &self,
        request: Request<AuthRoleDeleteRequest>,
    ) -> Result<Response<AuthRoleDeleteResponse>, Status> {
        change!(self, request, RoleDelete, AuthRoleDeleteResponse)
    }

    async fn role_grant_permission(
        &self,
        request: Request<AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<AuthRoleGrantPermissionResponse>, Status> {
        change!(self, request, RoleGrantPermission, AuthRoleGrantPermissionResponse)
    }

    async fn role_revoke_permission(
        &self,
        request: Request<AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<AuthRoleRevokePermissionResponse>, Status> {
        change!(self, request, RoleRevokePermission, AuthRoleRevokePermissionResponse)
    }
}
