//! What has no safe wrapper. recvmsg(2) with descriptors: nix hands them out as bare numbers, and when the kernel has cut
//! some off it does not hand out those that it has opened all the same. And memory that is not there before it is
//! written to: what malloc gives is filled with zeros first.

use std::{
    io, mem,
    num::NonZeroUsize,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
    slice,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// What came by one receive.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// How many bytes; none at the end of the stream.
    pub(crate) bytes: usize,
    /// In the order in which they were sent.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// There were more than two, or too few numbers left for them: the kernel has closed those that are not here.
    pub(crate) is_cut: bool,
}

/// Room for a header and two numbers, as cmsg(3) lays them out; `usize` gives it the alignment that a header needs.
const ROOM: usize = 4;
const TWO: libc::c_uint = 2 * size_of::<RawFd>() as libc::c_uint;

/// Receives at most `into` bytes and two descriptors, close-on-exec, without waiting.
pub(crate) fn receive_two(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<Parcel> {
    let mut control = [0_usize; ROOM];
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: every field of `msghdr` is a number or a pointer, for which all bits zero is a value: 0 or null.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: CMSG_LEN only reckons.
    let length = unsafe { libc::CMSG_LEN(TWO) };
    debug_assert!(length as usize <= size_of_val(&control));
    // The type of this field differs between systems.
    message.msg_controllen = length as _;
    // SAFETY: `message` points to one `iovec` over `into`, and to `control`, whose size is at least the length given;
    // both live longer than the call and are not otherwise used in it. The descriptor is borrowed, so it is open.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, FLAGS) };
    let bytes = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let descriptors = descriptors_in(&message);
    #[cfg(any(target_vendor = "apple", hobnob_portable))]
    descriptors.iter().try_for_each(crate::socket::close_on_exec)?;
    Ok(Parcel { bytes, descriptors, is_cut: message.msg_flags & libc::MSG_CTRUNC != 0 })
}

#[cfg(not(any(target_vendor = "apple", hobnob_portable)))]
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
/// macOS has no flag for close-on-exec.
#[cfg(any(target_vendor = "apple", hobnob_portable))]
const FLAGS: libc::c_int = libc::MSG_DONTWAIT;

/// Takes the descriptors out of a message that the kernel has just filled in.
fn descriptors_in(message: &libc::msghdr) -> Vec<OwnedFd> {
    // SAFETY: the control buffer that `message` names is alive in `receive_two`, and the kernel has set the length of
    // what it wrote there. CMSG_FIRSTHDR gives null or a header that lies within it.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: as above; null becomes `None`. There is room for one header only, so there is no second one.
    let Some(found) = (unsafe { header.as_ref() }) else { return Vec::new() };
    if (found.cmsg_level, found.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Vec::new();
    }
    // SAFETY: CMSG_LEN only reckons.
    #[allow(clippy::unnecessary_cast, reason = "the type of this field differs between systems")]
    let count =
        (found.cmsg_len as usize).saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize) / size_of::<RawFd>();
    // SAFETY: the data of a header begins where CMSG_DATA says.
    let numbers = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
    (0..count)
        .map(|at| {
            // SAFETY: the kernel has written `count` numbers there, for which the alignment is not promised.
            let number = unsafe { ptr::read_unaligned(numbers.add(at)) };
            // SAFETY: the kernel has just opened this descriptor for us with this call, and nobody else knows it;
            // each number is read once.
            unsafe { OwnedFd::from_raw_fd(number) }
        })
        .collect()
}

/// So many bytes of memory of its own, mapped when first asked for. A page that nobody has written to takes none.
#[derive(Debug)]
pub(crate) struct Pages<const BYTES: usize>(Option<NonNull<u8>>);

impl<const BYTES: usize> Pages<BYTES> {
    const LENGTH: NonZeroUsize = NonZeroUsize::new(BYTES).unwrap();

    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn get(&mut self) -> io::Result<&mut [u8]> {
        let mapped = self.0.map_or_else(Self::map, Ok)?;
        self.0 = Some(mapped);
        // SAFETY: so many bytes are mapped there, readable, writable and zero at first, until `self` is dropped. Nobody
        // else has the address, and the slice borrows `self` for as long as it lives.
        Ok(unsafe { slice::from_raw_parts_mut(mapped.as_ptr(), BYTES) })
    }

    fn map() -> io::Result<NonNull<u8>> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, of no file and at no address that was asked for, touches nothing that is there.
        let mapped = unsafe { mmap_anonymous(None, Self::LENGTH, access, MapFlags::MAP_PRIVATE) }?;
        Ok(mapped.cast())
    }
}

impl<const BYTES: usize> Drop for Pages<BYTES> {
    fn drop(&mut self) {
        if let Some(mapped) = self.0 {
            // SAFETY: it was mapped with this length by `map`, and no slice of it is left: each borrowed `self`.
            let _ = unsafe { munmap(mapped.cast(), BYTES) };
        }
    }
}
