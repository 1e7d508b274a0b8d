//! The store as the sender of one request may use it.

use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;
use keelson_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseLeasesResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use keelson_proto::keelson::store::v1::{AuthChanged, auth_command};
use tonic::metadata::MetadataMap;

use super::credentials::{self, User};
use crate::auth::{Access, Pass, Permissions, Table};
use crate::watch::{self, Watcher};
use crate::{Error, Handle, validate};

/// How often a request is tried again because permissions changed meanwhile, before the client is told to try.
/// Of changes that are made at the same time, each attempt lets one through.
const ATTEMPTS: usize = 32;
/// A client of etcd has no fence.
const NO_FENCE: u64 = 0;

/// Who sent a request, and the store that it is for. Operations have the errors of [`Handle`]'s, and those of the check:
/// `UserEmpty`, `InvalidAuthToken`, `PermissionDenied`, `AuthOldRevision`.
pub(in crate::etcd_v3) struct Caller {
    handle: Handle,
    metadata: MetadataMap,
    extensions: Extensions,
}

/// A range that is being read: what was checked, and in which epoch.
pub(in crate::etcd_v3) struct Reading {
    key: Bytes,
    range_end: Bytes,
    epoch: u64,
    /// None when authentication was off.
    user: Option<Arc<str>>,
}

impl Caller {
    pub(super) fn new(handle: Handle, metadata: MetadataMap, extensions: Extensions) -> Self {
        Self { handle, metadata, extensions }
    }

    /// What the request said of itself.
    pub(in crate::etcd_v3) fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// Whether authentication is on, and in which epoch of permissions.
    pub(in crate::etcd_v3) fn epoch(&self) -> (u64, bool) {
        self.handle.gate().now()
    }

    /// The user, while authentication is on.
    pub(in crate::etcd_v3) async fn user(&self) -> Result<User, Error> {
        credentials::user(&self.handle, &self.metadata, &self.extensions).await
    }

    /// The store, for whoever has said who it is: for what is no secret but to strangers.
    pub(in crate::etcd_v3) async fn known(&self) -> Result<Handle, Error> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let user = self.user().await?;
        self.still_there(&user)?;
        let (epoch, _) = self.epoch();
        Ok(self.handle.under(Pass { epoch, user: Some(user.name) }))
    }

    /// Refuses a token that outlives its user. A certificate needs no user to be good.
    fn still_there(&self, user: &User) -> Result<(), Error> {
        let gone = user.revision.is_some() && self.handle.gate().table().permissions(&user.name).is_none();
        if gone { Err(Error::InvalidAuthToken) } else { Ok(()) }
    }

    /// As [`Self::root`], by the permissions that are the newest of all members.
    pub(in crate::etcd_v3) async fn newest_root(&self) -> Result<Handle, Error> {
        self.handle.read_barrier().await?;
        self.root().await
    }

    /// The store, for users with the role root: for what concerns the cluster or everybody's keys.
    pub(in crate::etcd_v3) async fn root(&self) -> Result<Handle, Error> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let user = self.user().await?;
        let find = |table: &Table| match table.permissions(&user.name) {
            Some(permissions) if permissions.root => Ok(Pass { epoch: table.epoch(), user: None }),
            Some(_) => Err(Error::PermissionDenied),
            None => Err(Error::UserNotFound),
        };
        self.surely(find).await.map(|pass| self.handle.under(pass))
    }

    /// Whether the user has the role root, or satisfies `condition`.
    pub(in crate::etcd_v3) async fn root_or(&self, condition: impl Fn(&str) -> bool) -> Result<(), Error> {
        if self.epoch().1 && !condition(&self.user().await?.name) {
            self.root().await?;
        }
        Ok(())
    }

    /// Checks a request once. The pass is good in its epoch.
    pub(in crate::etcd_v3) async fn check(&self, allowed: impl Fn(&Permissions) -> bool) -> Result<Pass, Error> {
        let (epoch, enabled) = self.epoch();
        if !enabled {
            return Ok(Pass { epoch, user: None });
        }
        let user = self.user().await?;
        let find = |table: &Table| {
            if user.revision.is_some_and(|revision| revision < table.revision()) {
                return Err(Error::AuthOldRevision);
            }
            match table.permissions(&user.name) {
                Some(permissions) if allowed(&permissions) => {
                    let user = (!permissions.root).then(|| Arc::clone(&user.name));
                    Ok(Pass { epoch: table.epoch(), user })
                }
                _ => Err(Error::PermissionDenied),
            }
        };
        self.surely(find).await
    }

    /// What `find` says of the table. A refusal counts only once this member has caught up: what it refuses by may have
    /// been granted already. (What it permits by may have been revoked; that is found when the request is done.)
    async fn surely(&self, find: impl Fn(&Table) -> Result<Pass, Error>) -> Result<Pass, Error> {
        let table = self.handle.gate().table();
        match find(&table) {
            Err(refused @ (Error::PermissionDenied | Error::UserNotFound)) => {
                self.handle.read_barrier().await?;
                let newest = self.handle.gate().table();
                if newest.epoch() == table.epoch() { Err(refused) } else { find(&newest) }
            }
            found => found,
        }
    }

    /// Changes who may do what; for root.
    pub(in crate::etcd_v3) async fn change_auth(&self, change: auth_command::Command) -> Result<AuthChanged, Error> {
        for _ in 0..ATTEMPTS {
            match self.root().await?.change_auth(change.clone()).await {
                Err(Error::AuthOldRevision) => drop(self.handle.read_barrier().await?),
                other => return other,
            }
        }
        Err(Error::AuthOldRevision)
    }

    /// Checks again what was read after a [`Self::check`] in `epoch`, if permissions changed meanwhile: this member may not
    /// have known the newest ones before the read made it catch up.
    pub(in crate::etcd_v3) async fn check_again(
        &self,
        epoch: u64,
        allowed: impl Fn(&Permissions) -> bool,
    ) -> Result<(), Error> {
        let (now, enabled) = self.epoch();
        if enabled && now != epoch {
            self.check(allowed).await?;
        }
        Ok(())
    }

    pub(in crate::etcd_v3) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        let reading = self.read(&request).await?;
        let response = self.handle.range(request).await?;
        self.done(&reading).await?;
        Ok(response)
    }

    /// Begins to read a range by other means than [`Self::range`]; [`Self::done`] must follow once it is read or pinned.
    pub(in crate::etcd_v3) async fn read(&self, request: &RangeRequest) -> Result<Reading, Error> {
        let (key, range_end) = (request.key.clone(), request.range_end.clone());
        let (pass, user) = self.check_range(&key, &range_end).await?;
        Ok(Reading { key, range_end, epoch: pass, user })
    }

    /// Checks that a range may be read; gives the epoch, and the user while authentication is on.
    pub(in crate::etcd_v3) async fn check_range(
        &self,
        key: &[u8],
        range_end: &[u8],
    ) -> Result<(u64, Option<Arc<str>>), Error> {
        let pass = self.check(|user| user.allow(Access::Read, key, range_end)).await?;
        let user = match pass.user {
            None if self.epoch().1 => Some(self.user().await?.name),
            user => user,
        };
        Ok((pass.epoch, user))
    }

    /// Whether what was read may be given.
    pub(in crate::etcd_v3) async fn done(&self, reading: &Reading) -> Result<(), Error> {
        self.check_again(reading.epoch, |user| user.allow(Access::Read, &reading.key, &reading.range_end)).await
    }

    /// Whether a read that goes on for long may go on: its user was known when it began, and must still have permission.
    pub(in crate::etcd_v3) async fn goes_on(&self, reading: &mut Reading) -> Result<(), Error> {
        let (now, enabled) = self.epoch();
        if !enabled || now == reading.epoch {
            return Ok(());
        }
        match &reading.user {
            Some(user) if self.may_still_read(user, &reading.key, &reading.range_end) => reading.epoch = now,
            Some(_) => return Err(Error::PermissionDenied),
            // It began while authentication was off.
            None => (reading.epoch, reading.user) = self.check_range(&reading.key, &reading.range_end).await?,
        }
        Ok(())
    }

    /// Watches what the user may read now; whoever goes on with it must ask [`Self::goes_on`] for each item.
    pub(in crate::etcd_v3) async fn watch(&self, options: watch::Options) -> Result<(Watcher, Reading), Error> {
        let range =
            RangeRequest { key: options.key.clone(), range_end: options.range_end.clone(), ..RangeRequest::default() };
        let reading = self.read(&range).await?;
        Ok((self.handle.watch(options), reading))
    }

    pub(in crate::etcd_v3) async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        let allowed = |user: &Permissions| user.allow_put(&request);
        let run = |handle: Handle| {
            let request = request.clone();
            async move { handle.put(request).await }
        };
        self.write(allowed, run).await
    }

    pub(in crate::etcd_v3) async fn delete_range(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Error> {
        let allowed = |user: &Permissions| user.allow_delete_range(&request);
        let run = |handle: Handle| {
            let request = request.clone();
            async move { handle.delete_range(request).await }
        };
        self.write(allowed, run).await
    }

    pub(in crate::etcd_v3) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let allowed = |user: &Permissions| user.allow_txn(&request);
        let run = |handle: Handle| {
            let request = request.clone();
            async move { handle.txn(request, NO_FENCE).await }
        };
        let response = self.write(allowed, run).await?;
        if validate::txn_is_read_only(&request) {
            // Apply did not see it.
            self.check(allowed).await?;
        }
        Ok(response)
    }

    /// For root only: it takes history away from everybody.
    pub(in crate::etcd_v3) async fn compact(&self, request: CompactionRequest) -> Result<CompactionResponse, Error> {
        for _ in 0..ATTEMPTS {
            match self.root().await?.compact(request).await {
                Err(Error::AuthOldRevision) => drop(self.handle.read_barrier().await?),
                other => return other,
            }
        }
        Err(Error::AuthOldRevision)
    }

    pub(in crate::etcd_v3) async fn lease_grant(
        &self,
        request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Error> {
        for _ in 0..ATTEMPTS {
            match self.known().await?.lease_grant(request).await {
                Err(Error::AuthOldRevision) => drop(self.handle.read_barrier().await?),
                other => return other,
            }
        }
        Err(Error::AuthOldRevision)
    }

    /// Needs to write all keys that the lease ends; apply knows which these are.
    pub(in crate::etcd_v3) async fn lease_revoke(
        &self,
        request: LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Error> {
        for _ in 0..ATTEMPTS {
            match self.known().await?.lease_revoke(request).await {
                Err(Error::AuthOldRevision) => drop(self.handle.read_barrier().await?),
                other => return other,
            }
        }
        Err(Error::AuthOldRevision)
    }

    /// Needs to write all keys that would end with the lease.
    pub(in crate::etcd_v3) async fn lease_keep_alive(
        &self,
        request: LeaseKeepAliveRequest,
    ) -> Result<LeaseKeepAliveResponse, Error> {
        let Some(open) = self.open() else {
            let mut caught_up = false;
            for _ in 0..ATTEMPTS {
                match self.check_leases(Access::Write, vec![request.id]).await {
                    Ok(()) => return self.handle.lease_keep_alive(request).await,
                    Err(Error::AuthOldRevision) => {}
                    Err(Error::PermissionDenied) if !caught_up => {}
                    Err(error) => return Err(error),
                }
                self.handle.read_barrier().await?;
                caught_up = true;
            }
            return Err(Error::AuthOldRevision);
        };
        open.lease_keep_alive(request).await
    }

    /// Needs to read the keys that it shows.
    pub(in crate::etcd_v3) async fn lease_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Error> {
        let Some(open) = self.open() else {
            if !request.keys {
                return self.known().await?.lease_time_to_live(request).await;
            }
            self.user().await?;
            let response = self.handle.lease_time_to_live(request).await?;
            // The leader answered; this member must know the permissions that it knew.
            self.handle.read_barrier().await?;
            // Checked by what would be shown, after it was read.
            self.check(|user| user.allow_all(Access::Read, &response.keys)).await?;
            return Ok(response);
        };
        open.lease_time_to_live(request).await
    }

    /// Needs to read all keys that are attached to any lease, as in etcd.
    pub(in crate::etcd_v3) async fn lease_leases(
        &self,
        request: LeaseLeasesRequest,
    ) -> Result<LeaseLeasesResponse, Error> {
        if self.epoch().1 {
            self.user().await?;
        }
        let response = self.handle.lease_leases(request).await?;
        // Reading made this member catch up: authentication may be on since.
        if self.epoch().1 {
            self.check_leases(Access::Read, response.leases.iter().map(|lease| lease.id).collect()).await?;
        }
        Ok(response)
    }

    /// Checks access to all keys attached to leases, as far as they are applied here.
    async fn check_leases(&self, access: Access, leases: Vec<i64>) -> Result<(), Error> {
        let user = self.user().await?;
        self.still_there(&user)?;
        let table = self.handle.gate().table();
        // Who is no user, but has a certificate, may touch leases without keys.
        let permissions = table.permissions(&user.name).unwrap_or_default();
        if permissions.root {
            return Ok(());
        }
        if !self.handle.lease_keys_allowed(leases, access, permissions).await? {
            return Err(Error::PermissionDenied);
        }
        if self.epoch().0 == table.epoch() { Ok(()) } else { Err(Error::AuthOldRevision) }
    }

    /// The store, when authentication is off.
    fn open(&self) -> Option<Handle> {
        let (epoch, enabled) = self.epoch();
        (!enabled).then(|| self.handle.under(Pass { epoch, user: None }))
    }

    /// Writes what is allowed, which is everything while authentication is off. A write that apply refused, because this
    /// member did not know the newest permissions or that authentication is on, surely had no effect and is tried again once
    /// the member has caught up.
    async fn write<T, F>(&self, allowed: impl Fn(&Permissions) -> bool, run: impl Fn(Handle) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        for _ in 0..ATTEMPTS {
            let pass = self.check(&allowed).await?;
            match run(self.handle.under(pass)).await {
                Err(Error::AuthOldRevision) => drop(self.handle.read_barrier().await?),
                other => return other,
            }
        }
        Err(Error::AuthOldRevision)
    }
}

impl Caller {
    /// Whether a user, who was known before, may read a range now.
    pub(in crate::etcd_v3) fn may_still_read(&self, user: &Arc<str>, key: &[u8], range_end: &[u8]) -> bool {
        let permissions = self.handle.gate().table().permissions(user);
        permissions.is_some_and(|permissions| permissions.allow(Access::Read, key, range_end))
    }
}
