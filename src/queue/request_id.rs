//! Request ids made here carry the index of their entry, so that finding it costs neither a stored row nor a search.

use super::entry::Index;
use alloc::string::String;
use uuid::{Builder, Uuid};

/// Bytes of the UUID that hold the index: 9 to 15, 56 bits; indexes stay below 2^53.
const INDEX_BYTES: core::ops::Range<usize> = 9..16;

/// A version 8 UUID made of random bits and an index.
pub fn make(random: u128, index: Index) -> String {
    let mut bytes = random.to_be_bytes();
    let index = index.0.to_be_bytes();
    for (to, from) in bytes.iter_mut().skip(INDEX_BYTES.start).zip(index.iter().skip(1)) {
        *to = *from;
    }
    let id = Builder::from_custom_bytes(bytes).into_uuid();
    String::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// The index a request id carries, if it looks like one made here.
pub fn index(request_id: &str) -> Option<Index> {
    let id = Uuid::try_parse(request_id).ok().filter(|id| id.get_version_num() == 8)?;
    let index = id.as_bytes().iter().skip(INDEX_BYTES.start).fold(0_u64, |index, &byte| index << 8 | u64::from(byte));
    Some(Index(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gives_its_index_back() {
        for (random, number) in [(0, 1), (u128::MAX, 1), (0x1234_5678_9abc_def0, 9_007_199_254_740_991)] {
            let id = make(random, Index(number));
            assert_eq!(id.len(), 36);
            assert_eq!(index(&id), Some(Index(number)), "{id}");
        }
        assert_eq!(index("67e55044-10b1-426f-9247-bb680e5fe0c8"), None);
        assert_eq!(index("mine"), None);
    }
}
