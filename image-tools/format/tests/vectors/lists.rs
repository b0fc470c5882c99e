//! Chunk lists, and headers of a bundle.
use crate::common::{CHUNK, delta_list, frame, list, raw_list};
use crate::errors::{HEADER, Section, and, bytes_over, cut, section, spoiled};
use bistable_format::bundle::{BLOCK, Header, INDEX_NAME};
use bistable_format::chunklist::Range;
use bistable_format::{ChunkList, Digest, Encoding, limits};

const LIST: &[&str] = &[
    "Decode::TooLarge",
    "Decode::Malformed",
    "Decode::Trailing",
    "Decode::Kind",
    "Decode::OtherChunks",
    "Decode::Invalid",
];

/// Set the bytes that chunk `index` takes in the data.
fn set_bytes(list: &mut ChunkList, index: usize, to: u32) {
    match &mut list.chunks[index].encoding {
        Encoding::Zero { bytes, .. } | Encoding::Zstd { bytes, .. } | Encoding::Patch { bytes, .. } => {
            *bytes = to;
        }
        Encoding::Copy(_) => panic!("a copy has no data"),
    }
}

pub(crate) fn full_list() -> Section {
    let (list, artifact) = list();
    let good = frame(&list);
    let with = |spoil: fn(&mut ChunkList)| spoiled(list.clone(), spoil);
    let zstd = (2, frame(&(100_000u32, Digest([0; 32]))));
    let unknown = [zstd.clone(), zstd.clone(), zstd.clone(), (9, b"brotli".to_vec())];
    let longer = [zstd.clone(), zstd.clone(), zstd.clone(), (2, and(&zstd.1, &[0]))];
    section(
        "full chunk list",
        &good,
        |bytes: &Vec<u8>| ChunkList::decode(bytes, &artifact).map(drop),
        &[LIST],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::CHUNK_LIST)),
            ("too-many-chunks", frame(&(CHUNK, None::<Digest>, 65_537u64))),
            ("without-chunks", with(|l| l.chunks.clear())),
            ("with-a-chunk-too-few", with(|l| drop(l.chunks.pop()))),
            ("with-a-chunk-too-many", with(|l| l.chunks.push(l.chunks[3].clone()))),
            ("of-odd-chunks", with(|l| l.chunk_bytes -= 1)),
            ("of-small-chunks", with(|l| l.chunk_bytes = 128 << 10)),
            ("of-other-data", with(|l| set_bytes(l, 3, 34))),
            ("frame-of-no-bytes", with(|l| set_bytes(l, 3, 0))),
            ("frame-larger-than-zstd-needs", with(|l| set_bytes(l, 0, limits::encoded_chunk(CHUNK) + 1))),
            ("of-a-delta", with(|l| l.base = Some(Digest([1; 32])))),
            (
                "copy-without-a-base",
                with(|l| l.chunks[1].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK })),
            ),
            ("unknown-encoding", raw_list(&list, &unknown)),
            ("known-encoding-in-an-unknown-form", raw_list(&list, &longer)),
            ("chunks-swapped", with(|l| l.chunks.swap(0, 2))),
            ("digest-of-another-chunk", with(|l| l.chunks[3].digest.0[0] ^= 1)),
        ],
    )
}

pub(crate) fn delta_lists() -> Section {
    let (list, making) = delta_list();
    let good = frame(&list);
    let with = |spoil: fn(&mut ChunkList)| spoiled(list.clone(), spoil);
    fn prefix(list: &mut ChunkList) -> &mut Vec<Range> {
        match &mut list.chunks[2].encoding {
            Encoding::Patch { prefix, .. } => prefix,
            other => panic!("not a patch: {other:?}"),
        }
    }
    fn copy(list: &mut ChunkList, offset: u64, bytes: u32) {
        list.chunks[0].encoding = Encoding::Copy(Range { offset, bytes });
    }
    let zstd = (2, frame(&(100_000u32, Digest([0; 32]))));
    let unknown = [zstd.clone(), zstd.clone(), zstd, (9, b"brotli".to_vec())];
    section(
        "chunk list of a delta",
        &good,
        |bytes: &Vec<u8>| making.decode(bytes).map(drop),
        &[LIST],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::CHUNK_LIST)),
            ("a-full-list", with(|l| l.base = None)),
            ("of-another-base", with(|l| l.base = Some(Digest([1; 32])))),
            ("copy-of-no-bytes", with(|l| copy(l, 0, 0))),
            ("copy-of-half-a-chunk", with(|l| copy(l, 0, CHUNK / 2))),
            ("copy-behind-the-last-byte", with(|l| copy(l, u64::MAX, CHUNK))),
            ("copy-behind-the-end-of-the-base", with(|l| copy(l, (1 << 34) - 1, CHUNK))),
            ("patch-of-no-bytes", with(|l| set_bytes(l, 2, 0))),
            ("patch-behind-the-end-of-the-base", with(|l| prefix(l)[0].offset = 1 << 34)),
            ("patch-with-an-empty-range", with(|l| prefix(l)[0].bytes = 0)),
            ("patch-with-too-large-a-prefix", with(|l| prefix(l)[0].bytes = 4 << 20)),
            ("patch-with-too-many-ranges", with(|l| *prefix(l) = vec![Range { offset: 0, bytes: 1 }; 65])),
            ("of-other-data", with(|l| set_bytes(l, 3, 34))),
            ("unknown-encoding", raw_list(&list, &unknown)),
            ("digest-of-another-chunk", with(|l| l.chunks[0].digest.0[31] ^= 1)),
        ],
    )
}

pub(crate) fn tar_header() -> Section {
    let good = Header { name: INDEX_NAME.into(), bytes: 7 }.encode().unwrap();
    // With its checksum put right, so that it is the field itself that is refused.
    let with = |at: usize, text: &str| {
        let mut block = good;
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    };
    let mut checksum = good;
    checksum[153] ^= 1;
    section(
        "tar header",
        &good,
        |block: &[u8; BLOCK]| Header::decode(block).map(drop),
        &[HEADER],
        vec![
            ("zeros", [0; BLOCK]),
            ("checksum", checksum),
            ("another-name", with(0, "../x.json\0")),
            ("a-name-behind-the-name", with(11, "x")),
            ("mode-set-user-id", with(100, "0004755")),
            ("owner", with(108, "0001750")),
            ("size-in-base-256", with(124, "\u{7f}")),
            ("time", with(136, "00000000001")),
            ("symbolic-link", with(156, "2")),
            ("GNU-magic", with(257, "ustar  ")),
            ("a-byte-in-the-padding", with(511, "x")),
        ],
    )
}
