//! Calling any method of the contract with any message, and reading whatever it answers.

use std::collections::BTreeMap;

use bytes::Buf as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::world::World;

/// Every method, by its service and name.
pub(super) fn contract() -> BTreeMap<String, MethodDescriptor> {
    let pool = DescriptorPool::decode(portcullis_proto::DESCRIPTORS).expect("it was encoded by us");
    let ours = pool.services().filter(|service| service.package_name() == "portcullis.auth.v1").collect::<Vec<_>>();
    let methods = ours
        .iter()
        .flat_map(|service| service.methods().map(|method| (format!("{}.{}", service.name(), method.name()), method)));
    methods.collect()
}

pub(super) fn path_of(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Answers as the bytes that they are.
#[derive(Default)]
struct Raw(ProstCodec<DynamicMessage, ()>);

struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

impl Codec for Raw {
    type Encode = DynamicMessage;
    type Decode = Vec<u8>;
    type Encoder = <ProstCodec<DynamicMessage, ()> as Codec>::Encoder;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

/// Calls any method with any message, and reads the first that it answers. A stream of one message looks the same on the
/// wire.
pub(super) async fn call(
    world: &World,
    method: &MethodDescriptor,
    request: Request<DynamicMessage>,
) -> Result<DynamicMessage, Status> {
    let mut client = Grpc::new(world.channel.clone());
    client.ready().await.expect("the service listens");
    let path = path_of(method).parse().expect("it is a path");
    let answer = client.unary(request, path, Raw::default()).await?.into_inner();
    Ok(DynamicMessage::decode(method.output(), &*answer).expect("it is this method's"))
}
