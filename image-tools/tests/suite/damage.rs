//! A bundle with anything wrong with it is refused.
use crate::fixture::{Product, noise};
use bistable_format::bundle::{BLOCK, Frame};
use bistable_image::bundle::{BundleError, ChunkProblem, Part, Reader};
use bistable_image::{Silent, Threads};
use std::fs;

struct Good {
    bytes: Vec<u8>,
    product: Product,
    frame: Frame,
}

fn good() -> Good {
    let product = Product::new();
    let bundle = product.bundle();
    let reader = bistable_image::verify::open(&bundle, &product.root.root).unwrap();
    let frame = Frame::new(reader.signed_release(), reader.release());
    Good { bytes: fs::read(bundle).unwrap(), product, frame }
}

impl Good {
    fn verify(&self, bytes: &[u8]) -> Result<(), BundleError> {
        Reader::open(bytes, &self.product.root.root)?.volumes(Threads::new(2), &Silent, &mut |_, _, _| Ok(()))
    }

    /// Where each entry's header, content and padding begin, and the end.
    fn edges(&self) -> Vec<usize> {
        let mut edges = vec![0];
        for header in &self.frame.headers {
            let start = edges.last().unwrap() + BLOCK;
            let content = usize::try_from(header.bytes).unwrap();
            edges.extend([start, start + content, start + content + header.padding()]);
        }
        edges.push(self.bytes.len());
        edges
    }

    /// The content of an entry.
    fn content(&self, index: usize) -> usize {
        self.edges()[1 + 3 * index]
    }
}

#[test]
fn the_good_one_is_good() {
    let good = good();
    good.verify(&good.bytes).unwrap();
    assert_eq!(good.frame.bundle_bytes(), good.bytes.len() as u64);
}

#[test]
fn any_flipped_bit_is_found() {
    let good = good();
    let len = good.bytes.len();
    // At and around every edge, all through everything before the data, and at places spread over all of it.
    let mut places: Vec<usize> =
        good.edges().iter().flat_map(|e| [e.saturating_sub(1), *e, e + 1]).filter(|p| *p < len).collect();
    places.extend((0..good.content(7)).step_by(97));
    places.extend((0..200).map(|i| i * len / 200 + 13).filter(|p| *p < len));
    assert!(places.len() >= 400, "{} places", places.len());
    let mut bytes = good.bytes.clone();
    for (i, place) in places.into_iter().enumerate() {
        let bit = 1 << (i % 8);
        bytes[place] ^= bit;
        assert!(good.verify(&bytes).is_err(), "bit {bit} of byte {place}");
        bytes[place] ^= bit;
    }
    good.verify(&bytes).unwrap();
}

#[test]
fn it_may_not_end_anywhere_else() {
    let good = good();
    let len = good.bytes.len();
    let mut ends: Vec<usize> =
        good.edges().iter().flat_map(|e| [e.saturating_sub(1), *e, e + 1]).filter(|e| *e < len).collect();
    ends.extend((0..100).map(|i| i * len / 100));
    for end in ends {
        match good.verify(&good.bytes[..end]) {
            Err(BundleError::Truncated { offset, .. }) => assert_eq!(offset, end as u64),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
    for more in [&b"x"[..], &[0], &[0; 512], &[0; 10240]] {
        let longer = [&good.bytes, more].concat();
        let found = good.verify(&longer);
        assert!(matches!(found, Err(BundleError::Trailing { offset }) if offset == len as u64), "{found:?}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let good = good();
    let damage = |place: usize| {
        let mut bytes = good.bytes.clone();
        bytes[place] ^= 0x10;
        good.verify(&bytes).unwrap_err()
    };
    let index = good.content(1);
    let found = damage(index + 5);
    assert!(
        matches!(found, BundleError::Differs { part: Part::Index, offset } if offset == index as u64 + 5),
        "{found:?}"
    );
    let found = damage(good.content(4) + 40);
    assert!(matches!(found, BundleError::Trust(_)), "{found:?}");
    let list = good.content(6);
    let found = damage(list + 3);
    assert!(matches!(found, BundleError::ListDigest { offset, .. } if offset == list as u64), "{found:?}");
    let data = good.content(8);
    let found = damage(data + 3);
    assert!(
        matches!(&found, BundleError::Chunk { index: 0, offset, problem: ChunkProblem::Digest, .. } if *offset == data as u64),
        "{found:?}"
    );
    let text = found.to_string();
    assert!(
        text.contains("chunk 0 of the system volume") && text.contains("copy or fetch it again"),
        "{text}"
    );
}

/// Damage in several chunks: the first one is told, however many threads there are.
#[test]
fn the_first_damage_is_told() {
    let good = good();
    let start = good.content(7);
    let mut bytes = good.bytes.clone();
    for place in [start + 10, bytes.len() - 6000, start + 5000] {
        bytes[place] ^= 1;
    }
    for threads in [1, 8] {
        let reader = Reader::open(&bytes[..], &good.product.root.root).unwrap();
        let found = reader.volumes(Threads::new(threads), &Silent, &mut |_, _, _| Ok(())).unwrap_err();
        assert!(matches!(found, BundleError::Chunk { index: 0, .. }), "{found:?}");
    }
}

#[test]
fn other_files_are_no_bundles() {
    let good = good();
    for (what, bytes) in [
        ("nothing", vec![]),
        ("noise", noise(5, 20_000)),
        ("zeros", vec![0; 20_000]),
        ("half a header", good.bytes[..100].to_vec()),
        ("without its head", good.bytes[good.content(4)..].to_vec()),
    ] {
        assert!(good.verify(&bytes).is_err(), "{what}");
    }
}

/// Whatever a hostile file announces, no more is read into memory than the parts may have.
#[test]
fn an_entry_larger_than_allowed_is_refused_before_it_is_read() {
    use bistable_format::bundle::{Header, INDEX_NAME};
    #[derive(Debug)]
    struct Endless(Vec<u8>, usize, u64);
    impl std::io::Read for &mut Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.2 += into.len() as u64;
            for byte in into.iter_mut() {
                *byte = self.0.get(self.1).copied().unwrap_or(b' ');
                self.1 += 1;
            }
            Ok(into.len())
        }
    }
    let good = good();
    let huge = Header { name: INDEX_NAME.into(), bytes: 8 << 30 >> 1 };
    let head = [&good.bytes[..1024], &huge.encode().unwrap()[..]].concat();
    let mut endless = Endless(head, 0, 0);
    let found = Reader::open(&mut endless, &good.product.root.root);
    assert!(matches!(found, Err(BundleError::NotBundle { part: Part::Index, offset: 1024 })), "{found:?}");
    assert!(endless.2 < 4096, "{} bytes were read", endless.2);
}
