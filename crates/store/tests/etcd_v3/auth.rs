//! Authentication and authorization as clients meet them, the published holes of etcd among them by their names.

mod guarded;
mod holes;
mod manage;
mod switching;
mod tokens;
mod ways;
