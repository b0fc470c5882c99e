//! From the Debian system to the factory's cards: a tree for each release, signed bundles, and a card for each boot flow
//! with all bundles on its `persistent` partition. Made with Bistable's own host program, once for each set of inputs.
use super::{
    fetch::{Tree, put},
    flow, initramfs,
    machine::Machine,
    overlay::{self, Overlay, Piece},
};
use crate::run::{
    part::{self, Part},
    release::{self, FACTORY, GOOD, HEALTH, PRODUCT, Release},
};
use anyhow::{Context, Result, bail};
use bistable_boot::{Flow, layout::Partition};
use bistable_image::volume::{SystemOptions, VolumeId, VolumeSize, open_system};
use bistable_kit::program::Program;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek as _, SeekFrom, Write},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// A fixed day, so that two builds are equal.
const EPOCH: u64 = 1_764_547_200;
/// The emulated Pi's card has to have a power of two.
const CARD: &str = "1G";
const SLOTS: [&str; 2] = ["system=160M", "boot=32M"];
/// Changed whenever what is made here changes in a way that its inputs don't show.
const EDITION: &str = "3";

/// The device's program with all that init and udev read: a folder as `package --tree` makes it.
#[derive(Clone, Debug)]
pub struct Package(pub PathBuf);

/// The factory's cards for one machine.
#[derive(Clone, Debug)]
pub struct Kit {
    folder: PathBuf,
}

impl Kit {
    /// The card as the factory makes it.
    pub fn card(&self, flow: Flow) -> PathBuf {
        self.folder.join(format!("card-{flow}.img"))
    }

    /// Where the repository is on the device.
    pub const REPOSITORY: &str = "/persistent/repository";

    /// Where a bundle is on the device.
    pub fn bundle(version: &str) -> String {
        format!("/persistent/{PRODUCT}-{version}.bundle")
    }
}

/// Make the cards of a machine, if they aren't there.
///
/// # Errors
/// When a tool fails, with what it said.
pub fn kit(
    cache: &Path,
    tree: &Tree,
    package: &Package,
    busybox: &Path,
    machine: Machine,
    tell: &dyn Fn(&str),
) -> Result<Kit> {
    let key = key(tree, package, machine)?;
    let folder = cache.join(format!("kit-{machine}-{key}"));
    let kit = Kit { folder: folder.clone() };
    if folder.is_dir() {
        return Ok(kit);
    }
    let part = cache.join(format!("kit-{machine}.part"));
    forget(cache, machine)?;
    fs::create_dir_all(part.join("bundles")).with_context(|| part.display().to_string())?;
    tell(&format!("making keys, {} releases and a card for each boot flow of {machine}", release::ALL.len()));
    Maker { folder: &part, tree, package, busybox, machine }.make()?;
    #[expect(clippy::disallowed_methods, reason = "a cache, made again when it is lost")]
    fs::rename(&part, &folder).with_context(|| folder.display().to_string())?;
    Ok(kit)
}

/// Throw away a machine's kits: each takes a gigabyte, and none but the newest is used again.
fn forget(cache: &Path, machine: Machine) -> Result<()> {
    for entry in fs::read_dir(cache).with_context(|| cache.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("kit-{machine}")) {
            fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

/// What all inputs come to: two kits of the same key are the same but for their keys.
fn key(tree: &Tree, package: &Package, machine: Machine) -> Result<String> {
    let mut sha = Sha256::new();
    sha.update(EDITION);
    let boot = fs::read_dir(&tree.boot).with_context(|| tree.boot.display().to_string())?;
    let mut files: Vec<PathBuf> = boot.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    files.extend(walk(&package.0)?.into_iter().map(|(path, _)| path).filter(|path| !path.is_symlink()));
    files.extend([tree.system.clone(), env::current_exe()?]);
    for path in files {
        let mut file = File::open(&path).with_context(|| path.display().to_string())?;
        let mut part = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut part).with_context(|| path.display().to_string())?;
            if read == 0 {
                break;
            }
            sha.update(part.get(..read).unwrap_or_default());
        }
    }
    sha.update(format!(
        "{machine}{:?}{:?}",
        overlay::boot(machine),
        release::ALL.map(|r| overlay::system(r, machine))
    ));
    for part in part::all() {
        sha.update(part::program(part));
    }
    Ok(bistable_kit::hex::hex(sha.finalize().get(..8).unwrap_or_default()))
}

/// A component's bundle, beside those of the images.
fn component(part: Part) -> String {
    format!("bundles/{PRODUCT}-{}-{}.bundle", part.name, part.version)
}

struct Maker<'a> {
    folder: &'a Path,
    tree: &'a Tree,
    package: &'a Package,
    busybox: &'a Path,
    machine: Machine,
}

/// What `card --json` says.
#[derive(Debug, Deserialize)]
struct Made {
    partitions: Vec<Place>,
}

#[derive(Debug, Deserialize)]
struct Place {
    name: String,
    start: u64,
    bytes: u64,
}

impl Maker<'_> {
    fn make(&self) -> Result<()> {
        for name in ["root-1", "root-2", "root-3", "release", "channel"] {
            self.host(&["key", "new", "--demo", "--out", name])?;
        }
        let line = "root new --out root.root --root-key root-1.pub --root-key root-2.pub --root-key root-3.pub --threshold root=2 \
                    --release-key release.pub --channel-key channel.pub --sign root-1.key --sign root-2.key";
        self.host(&line.split_whitespace().collect::<Vec<_>>())?;
        put(&self.folder.join("self-tests.toml"), overlay::self_tests(self.machine).as_bytes())?;
        put(&self.folder.join("health.toml"), HEALTH.as_bytes())?;
        self.boot()?;
        for part in part::all() {
            self.component(part).with_context(|| format!("{} {}", part.name, part.version))?;
        }
        for release in release::ALL {
            self.bundle(release).with_context(|| format!("release {}", release.version))?;
        }
        self.repository().context("the repository")?;
        for flow in [Flow::Tryboot, Flow::Uboot] {
            self.card(flow).with_context(|| format!("card for {flow}"))?;
        }
        Ok(())
    }

    /// Run the host's program, and give what it said.
    fn host(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(env::current_exe().context("finding this program")?)
            .arg0(Program::Host.name())
            .args(args)
            .current_dir(self.folder)
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .output()
            .with_context(|| format!("starting {}", Program::Host.name()))?;
        if !output.status.success() {
            bail!("bistable-image {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The boot volume's files, which all releases share.
    fn boot(&self) -> Result<()> {
        let folder = self.folder.join("boot");
        fs::create_dir(&folder)?;
        for name in ["kernel8.img", "bcm2837-rpi-3-b.dtb"] {
            fs::copy(self.tree.boot.join(name), folder.join(name)).context(name)?;
        }
        let initramfs =
            initramfs::make(&self.tree.system, self.busybox, self.machine).context("making the initramfs")?;
        put(&folder.join("initrd.img"), &initramfs)?;
        overlay::boot(self.machine)
            .iter()
            .try_for_each(|(name, text)| put(&folder.join(name), text.as_bytes()))
    }

    fn bundle(&self, release: Release) -> Result<()> {
        let tar = self.folder.join("system.tar");
        assemble(&self.tree.system, self.package, &overlay::system(release, self.machine), &tar)?;
        let out = format!("bundles/{PRODUCT}-{}.bundle", release.version);
        let line = format!(
            "build --progress none --product {PRODUCT} --version {} --board {} --level 3 --system system.tar --boot boot --boot-size 24M --uboot \
             --self-tests self-tests.toml --health health.toml --key release.key --root root.root --out {out}",
            release.version,
            self.machine.board(),
        );
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let bound: Vec<String> = part::brought(release).iter().map(|part| component(*part)).collect();
        words.extend(bound.iter().flat_map(|path| ["--bind", path]));
        self.host(&words)?;
        fs::remove_file(&tar).with_context(|| tar.display().to_string())
    }

    /// A component's release: a folder with the program of its service.
    fn component(&self, part: Part) -> Result<()> {
        let Part { name, version, .. } = part;
        let tree = format!("tree-{name}-{version}");
        let program = self.folder.join(&tree).join("bin/run");
        fs::create_dir_all(self.folder.join(&tree).join("bin"))?;
        put(&program, part::program(part).as_bytes())?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let line = format!(
            "build --progress none --component {name} --kind directory --tree {tree} --product {PRODUCT} --version {version} --board {} \
             --key release.key --root root.root --out {}",
            self.machine.board(),
            component(part),
        );
        self.host(&line.split_whitespace().collect::<Vec<_>>()).map(drop)
    }

    /// A repository beside the bundles, which offers the good release.
    fn repository(&self) -> Result<()> {
        self.host(&["repo", "init", "--repo", "bundles/repository", "--root", "root.root"])?;
        let line = format!(
            "publish --progress none --repo bundles/repository --root root.root --channel staging --key channel.key \
             bundles/{PRODUCT}-{}.bundle",
            GOOD.version
        );
        self.host(&line.split_whitespace().collect::<Vec<_>>()).map(drop)
    }

    fn card(&self, flow: Flow) -> Result<()> {
        let out = format!("card-{flow}.img");
        let line = format!(
            "card --json --progress none --bundle bundles/{PRODUCT}-{}.bundle --root root.root --allow-demo --size {CARD} \
             --slot-size {} --slot-size {} --out {out}",
            FACTORY.version, SLOTS[0], SLOTS[1],
        );
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.extend(flow::card_arguments(flow));
        let made: Made = serde_json::from_str(&self.host(&words)?).context("reading what card said")?;
        let persistent = Partition::Persistent.name();
        let place = made.partitions.iter().find(|p| p.name == persistent).context("no such partition")?;
        self.fill(&self.folder.join(out), place)
    }

    /// Put a file system with all bundles where the factory's empty one is.
    fn fill(&self, card: &Path, place: &Place) -> Result<()> {
        let options = SystemOptions {
            size: VolumeSize::Exact(place.bytes / 4096 * 4096),
            label: "persistent".into(),
            ..SystemOptions::new(VolumeId::from_name("rig/persistent"), EPOCH)
        };
        let volume = open_system(&self.folder.join("bundles"), &options).context("making persistent")?;
        let file = OpenOptions::new().write(true).open(card).with_context(|| card.display().to_string())?;
        let mut out = Sparse { file, start: place.start, at: 0 };
        volume.write_to(&mut out, &|_| {}).context("writing persistent")?;
        Ok(())
    }
}

/// Writes what isn't zero; the card is new there, but for the small file system that the factory made.
struct Sparse {
    file: File,
    start: u64,
    at: u64,
}

/// The factory's own file system on `persistent`: that far, zeros are written too.
const FACTORY_PERSISTENT: u64 = 64 << 20;

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        if bytes.iter().any(|b| *b != 0) || self.at < FACTORY_PERSISTENT {
            self.file.write_all_at(bytes, self.start + self.at)?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The groups that a package asks systemd-sysusers for (sysusers.d(5)), which its installation would have made.
fn groups(package: &Path) -> Result<Vec<String>> {
    let mut groups = Vec::new();
    for (path, inside) in walk(package)? {
        if inside.starts_with("usr/lib/sysusers.d") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let names = text.lines().filter_map(|line| line.strip_prefix("g "));
            groups.extend(names.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned));
        }
    }
    Ok(groups)
}

/// The system's groups, and these.
fn with_groups(system: &Path, groups: &[String]) -> Result<String> {
    let file = File::open(system).with_context(|| system.display().to_string())?;
    let mut text = String::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path.strip_prefix(".").unwrap_or(&path) == Path::new("etc/group") {
            entry.read_to_string(&mut text)?;
        }
    }
    for (name, id) in groups.iter().zip(FIRST_GROUP..) {
        text += &format!("{name}:x:{id}:\n");
    }
    Ok(text)
}

/// The first of the numbers that Debian leaves to systems' own groups and the small system doesn't use (Debian Policy 9.2.2).
const FIRST_GROUP: u32 = 900;

/// The Debian system, over it the package, over it the overlay: of two entries with one name the later one counts.
fn assemble(system: &Path, package: &Package, overlay: &Overlay, out: &Path) -> Result<()> {
    let mut file = File::create(out).with_context(|| out.display().to_string())?;
    let end = copy_entries(File::open(system).with_context(|| system.display().to_string())?, &mut file)?;
    file.seek(SeekFrom::Start(end))?;
    let mut builder = tar::Builder::new(file);
    builder.follow_symlinks(false);
    for (path, inside) in walk(&package.0)? {
        let inside = merged(&inside);
        let meta = fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(EPOCH);
        header.set_mode(meta.permissions().mode() & 0o777);
        if meta.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, inside, fs::read_link(&path)?)?;
        } else {
            header.set_size(meta.len());
            builder.append_data(&mut header, inside, File::open(&path)?)?;
        }
    }
    let groups = with_groups(system, &groups(&package.0)?)?;
    let mut header = tar::Header::new_gnu();
    header.set_mtime(EPOCH);
    header.set_mode(0o644);
    header.set_size(groups.len() as u64);
    builder.append_data(&mut header, "etc/group", groups.as_bytes())?;
    for (path, piece) in overlay {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(EPOCH);
        match piece {
            Piece::File(text, mode) => {
                header.set_mode(*mode);
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, path, text.as_bytes())?;
            }
            Piece::Link(target) => {
                header.set_mode(0o777);
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    builder.into_inner()?.sync_all()?;
    Ok(())
}

/// All that isn't a folder below a folder: where it is, and its path inside.
fn walk(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if fs::symlink_metadata(&path)?.is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(folder)?.to_owned();
                found.push((path, inside));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `/lib` and the like are links into `/usr` on a merged system.
fn merged(path: &Path) -> PathBuf {
    let path = path.strip_prefix(".").unwrap_or(path);
    let moved = ["lib", "bin", "sbin"].iter().any(|top| path.starts_with(top));
    if moved { Path::new("usr").join(path) } else { path.into() }
}

/// Copy a tar without its end, and give where that would be.
fn copy_entries(mut from: File, to: &mut File) -> Result<u64> {
    let mut end = 0;
    for entry in tar::Archive::new(&mut from).entries_with_seek()? {
        let entry = entry?;
        end = (entry.raw_file_position() + entry.header().entry_size()?).next_multiple_of(512);
    }
    from.seek(SeekFrom::Start(0))?;
    io::copy(&mut from.take(end), to)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_merged_system() {
        let table =
            [("./lib/systemd/x", "usr/lib/systemd/x"), ("usr/bin/y", "usr/bin/y"), ("etc/lib", "etc/lib")];
        for (from, to) in table {
            assert_eq!(merged(Path::new(from)), Path::new(to));
        }
    }

    #[test]
    fn groups_of_a_package_are_added_to_those_of_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("package/usr/lib/sysusers.d");
        fs::create_dir_all(&conf).unwrap();
        put(&conf.join("x.conf"), b"# may ask\ng bistable - -\nu! other - - -\n").unwrap();
        let groups = groups(&dir.path().join("package")).unwrap();
        let system = dir.path().join("system.tar");
        let mut builder = tar::Builder::new(File::create(&system).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(10);
        builder.append_data(&mut header, "./etc/group", &b"root:x:0:\n"[..]).unwrap();
        builder.into_inner().unwrap();
        assert_eq!(with_groups(&system, &groups).unwrap(), "root:x:0:\nbistable:x:900:\n");
    }

    #[test]
    fn a_tar_can_be_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(700);
        header.set_mode(0o644);
        builder.append_data(&mut header, "one", &[1; 700][..]).unwrap();
        builder.into_inner().unwrap().set_len(10 << 10).unwrap();
        let copy = dir.path().join("b.tar");
        let mut file = File::create(&copy).unwrap();
        let end = copy_entries(File::open(&path).unwrap(), &mut file).unwrap();
        assert_eq!(end, 512 + 1024);
        assert_eq!(fs::metadata(&copy).unwrap().len(), end);
    }
}
