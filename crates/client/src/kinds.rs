//! The kinds that users define.

use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::kinds_client::KindsClient;

use crate::Error;
use crate::transport::{MESSAGE_BYTES_MAX, Safety, Transport};

/// What the API tells of its kinds.
#[derive(Clone)]
pub struct Kinds {
    pub(crate) transport: Arc<Transport>,
}

impl Kinds {
    /// The kinds of users that a word means, in every version that is served; all of them for an empty word. With their schemas
    /// only when the word is the name of one kind.
    pub async fn list(&self, word: &str, schemas: bool) -> Result<Vec<proto::Kind>, Error> {
        let request = proto::ListKindsRequest { word: word.to_owned(), schemas };
        let response = self
            .transport
            .call(Safety::Read, |channel| {
                let request = request.clone();
                async move {
                    KindsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).list(request).await
                }
            })
            .await?;
        Ok(response.into_inner().kinds)
    }

    /// How many objects the store has of the kinds with these definitions, or of all when none is named, by the definitions' names:
    /// whether or not anybody serves or can read them. Those without objects are not told. Linearizable.
    pub async fn count(&self, definitions: &[String], namespace: &str) -> Result<Vec<(String, i64)>, Error> {
        let request = proto::CountKindsRequest { definitions: definitions.to_owned(), namespace: namespace.to_owned() };
        let response = self
            .transport
            .call(Safety::Read, |channel| {
                let request = request.clone();
                async move { KindsClient::new(channel).count(request).await }
            })
            .await?;
        Ok(response.into_inner().counts.into_iter().map(|count| (count.definition, count.objects)).collect())
    }
}
