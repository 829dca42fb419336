//! A service with the whole stack around it, and a caller of it: the contract's code here, what it does in
//! `servicer`, how it is called in `caller`.

pub mod caller;
pub mod servicer;

pub mod proto {
    //! Generated from `proto/myservice/service.proto`.
    #![expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        missing_docs,
        unused_qualifications,
        reason = "generated"
    )]
    tonic::include_proto!("myservice");

    /// What reflection shows, and what routes, metrics and retries are made from.
    pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/myservice.bin"));
}
