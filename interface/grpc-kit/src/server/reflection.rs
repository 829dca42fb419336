//! Reflection over what was registered, in both versions that clients ask for.

use tonic_reflection::server::{Builder, v1, v1alpha};

use super::router::Servicers;

/// Mounts `grpc.reflection.v1` and `v1alpha`: they list the given services and themselves, and nothing that is declared
/// in the same files but not served.
///
/// # Errors
/// When a descriptor set cannot be read.
pub(super) fn mount(
    servicers: &mut Servicers,
    services: &[String],
    descriptors: &[&'static [u8]],
) -> Result<(), tonic_reflection::server::Error> {
    let builder = || {
        let mut builder = Builder::configure();
        for descriptor in descriptors {
            builder = builder.register_encoded_file_descriptor_set(descriptor);
        }
        for service in services.iter().map(String::as_str).chain([V1, V1_ALPHA]) {
            builder = builder.with_service_name(service);
        }
        builder
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            // No service has the details of an error in its descriptor; with these, clients can show them in words.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false)
    };
    let v1: v1::ServerReflectionServer<_> = builder().build_v1()?;
    servicers.add(V1, v1);
    let v1alpha: v1alpha::ServerReflectionServer<_> = builder().build_v1alpha()?;
    servicers.add(V1_ALPHA, v1alpha);
    Ok(())
}

/// The service modern clients ask.
pub(super) const V1: &str = "grpc.reflection.v1.ServerReflection";
/// The service older clients ask.
pub(super) const V1_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
