//! File systems that don't report changes made by other machines.

use std::path::Path;

/// Their numbers in `linux/magic.h` and in the kernel's own modules: file systems whose files
/// another machine, or a program behind FUSE, changes without this kernel.
#[cfg(target_os = "linux")]
const SILENT: [(u32, &str); 17] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0x786f_4256, "a shared folder of VirtualBox"),
    (0xbacb_acbc, "a shared folder of VMware"),
];

/// The kind of a folder's file system, if that doesn't report all changes.
#[cfg(target_os = "linux")]
pub(super) fn silent_file_system(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    // The field is signed or not, and has 32 bits or 64, depending on the platform.
    let kind = i128::from(found.f_type) & i128::from(u32::MAX);
    SILENT.into_iter().find(|(number, _)| i128::from(*number) == kind).map(|(_, name)| name)
}

/// Other systems don't expose it.
#[cfg(not(target_os = "linux"))]
pub(super) fn silent_file_system(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_own_file_systems_are_not_remote() {
        assert_eq!(silent_file_system(Path::new("/proc")), None);
        assert_eq!(silent_file_system(Path::new("/no/such/folder")), None);
    }
}
