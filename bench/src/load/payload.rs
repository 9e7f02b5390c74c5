//! The content of a datagram: its number, its flow, and bytes that follow from both, so that a
//! changed byte is noticed.

/// Minimum length: the number, the flow and some bytes to compare.
pub(crate) const LEAST: usize = 16;

const HEAD: usize = 12;

/// Fills `data` for the datagram with this number in this flow. `data` is [`LEAST`] bytes or more.
pub(crate) fn write(data: &mut [u8], number: u64, flow: u32) {
    data[..8].copy_from_slice(&number.to_be_bytes());
    data[8..HEAD].copy_from_slice(&flow.to_be_bytes());
    let mut pattern = Pattern::new(number, flow);
    let (words, rest) = data[HEAD..].as_chunks_mut::<8>();
    for word in words {
        *word = pattern.next();
    }
    rest.copy_from_slice(&pattern.next()[..rest.len()]);
}

/// Returns the number and the flow, if every byte is as written.
pub(crate) fn read(data: &[u8]) -> Option<(u64, u32)> {
    if data.len() < LEAST {
        return None;
    }
    let (number, rest) = data.split_first_chunk::<8>()?;
    let (flow, rest) = rest.split_first_chunk::<4>()?;
    let (number, flow) = (u64::from_be_bytes(*number), u32::from_be_bytes(*flow));
    let mut pattern = Pattern::new(number, flow);
    let (words, rest) = rest.as_chunks::<8>();
    // Without an early exit: whole runs of words are compared at once.
    let differing = words.iter().fold(0, |differing, word| {
        differing | (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(pattern.next()))
    });
    (differing == 0 && *rest == pattern.next()[..rest.len()]).then_some((number, flow))
}

struct Pattern(u64);

impl Pattern {
    fn new(number: u64, flow: u32) -> Self {
        Self((number ^ u64::from(flow).rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> [u8; 8] {
        self.0 = self.0.wrapping_add(0xD1B5_4A32_D192_ED03);
        (self.0 ^ (self.0 >> 29)).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_shows() {
        for size in [16, 17, 31, 160] {
            let mut data = vec![0; size];
            write(&mut data, 77, 5);
            assert_eq!(read(&data), Some((77, 5)));
            for index in 0..size {
                data[index] ^= 0x10;
                assert_eq!(read(&data), None, "byte {index} of {size}");
                data[index] ^= 0x10;
            }
        }
        assert_eq!(read(&[0; 15]), None);
    }
}
