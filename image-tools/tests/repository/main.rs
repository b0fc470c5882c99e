//! The repository on each kind of store. S3 takes part if the environment names one: `BISTABLE_TEST_S3=s3://BUCKET`, with `AWS_*`;
//! `tests/s3/ceph.sh start DIR` starts one and prints both.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail loudly, and write files in their own folders without flushing them"
)]
mod bundle_stream;
mod channel;
mod cli;
mod components;
mod containers;
mod copies;
mod counted;
mod deaths;
mod deltas;
mod deltas_cli;
mod deltas_wrong;
mod expiry;
mod hostile;
mod init;
mod life;
mod many;
mod metrics;
mod notify;
mod places;
mod product;
mod promote;
mod publish;
mod races;
mod remembered;
mod repair;
mod retire;
mod sbom;
mod scale;
mod site;
mod store;
mod strand;
mod trusted;
mod world;
mod writers;
