//! What a call says: its structure is checked, but nothing in it is verified.

use engine::command::Answer;
use engine::names::NodeId;
use jiff::Timestamp;
use xmldsig::Element;

use crate::envelope::{Call, Operation};
use crate::fault::Fault;
use crate::request::{self, AckTarget, Routing, Selector, Sent, SentResponse};
use crate::version::Version;

/// What a call says, by its operation.
pub(super) enum Said<'d, 'a> {
    /// SendRequest, with the routing of 1.3.
    Request(Sent<'d, 'a>, Option<Routing<'d, 'a>>),
    /// SendResponse: what it sends, to which token, in which form.
    Response(Sent<'d, 'a>, String, Answer),
    /// GetRequest.
    Requests(Selector),
    /// GetResponse.
    Responses(Selector),
    /// GetStatus.
    Status(Timestamp),
    /// Ack.
    Ack(AckTarget),
    /// GetIncomingQueueStatistics, with the sub-queue, which stands outside the signature.
    Statistics(Timestamp, Option<NodeId>),
}

impl<'d, 'a> Said<'d, 'a> {
    /// Reads a call; `target` is the element that must be signed. Errors are InvalidContent.
    pub(super) fn read(call: &Call<'d, 'a>, target: Element<'d, 'a>) -> Result<Self, Fault> {
        let version = call.version;
        Ok(match call.operation {
            Operation::SendRequest => {
                let routing = match version {
                    Version::V1_3 => request::routing(call.element)?,
                    Version::V1_1 | Version::V1_2 => None,
                };
                request::request_data(target, version)?;
                Self::Request(request::request(target, version)?, routing)
            }
            Operation::SendResponse => {
                request::response_data(target, version)?;
                let SentResponse { sent, to, answer } = request::response(target, version)?;
                let answer = match answer {
                    request::Answer::Payload(payload) => Answer::Payload(request::root_of(payload)),
                    request::Answer::Rejected => Answer::Rejected,
                    request::Answer::Status => Answer::Status,
                    request::Answer::Async(_) => {
                        return Err(Fault::invalid("AsyncProcessingStatus отправляет только СМЭВ."));
                    }
                };
                Self::Response(sent, to, answer)
            }
            Operation::GetRequest => Self::Requests(request::selector(target, version)?),
            Operation::GetResponse => Self::Responses(request::selector(target, version)?),
            Operation::GetStatus => Self::Status(request::timestamp(target)?),
            Operation::Ack => Self::Ack(request::ack(target)?),
            Operation::GetIncomingQueueStatistics => {
                let node = request::statistics_node(call.element, version)?;
                Self::Statistics(request::timestamp(target)?, node)
            }
        })
    }
}
