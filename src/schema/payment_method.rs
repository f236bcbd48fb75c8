//! Payment methods.

use async_graphql::{ComplexObject, ID};

use super::node::NodeId;
use crate::billing::PaymentMethod;

#[ComplexObject]
impl PaymentMethod {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::PaymentMethod(self.key).encode()
    }
}
