"""Many signatures in one call: a compiled loop over the very function that judges single ones.

The loop calls `crypto_sign_open` *inside PyNaCl's own library*, by its address, so every verdict
is libsodium's own, as `tangle.keys.is_signed` has it. Python's lock is let go for the whole loop:
called once for each signature, a thread would wait for a busy interpreter after each of them.

The loop is a dozen lines of LLVM's language, compiled in some milliseconds. Where llvmlite is not
installed (there are no wheels for armv7l) there is no such loop.
"""

import ctypes
from array import array
from collections.abc import Sequence
from typing import Final

from nacl._sodium import ffi, lib  # type: ignore[import-not-found] # compiled, without stubs

from tangle.keys import KEY_SIZE, SignedMessage

try:
    import llvmlite.binding as llvm
except ImportError:  # a platform without wheels: `is_signed` serves it
    llvm = None

_LOOP: Final = """
define void @judge(i64 %count, ptr %verdicts, ptr %messages, ptr %ends, ptr %keys, ptr %open) {
start:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %each
each:
  %at = phi i64 [0, %start], [%next, %each]
  %begin = phi i64 [0, %start], [%end, %each]
  %end_place = getelementptr i64, ptr %ends, i64 %at
  %end = load i64, ptr %end_place
  %size = sub i64 %end, %begin
  %message = getelementptr i8, ptr %messages, i64 %begin
  %key_offset = mul i64 %at, 32
  %key = getelementptr i8, ptr %keys, i64 %key_offset
  %answer = call i32 %open(ptr null, ptr null, ptr %message, i64 %size, ptr %key)
  %is_good = icmp eq i32 %answer, 0
  %verdict = zext i1 %is_good to i8
  %verdict_place = getelementptr i8, ptr %verdicts, i64 %at
  store i8 %verdict, ptr %verdict_place
  %next = add i64 %at, 1
  %is_last = icmp eq i64 %next, %count
  br i1 %is_last, label %done, label %each
done:
  ret void
}
"""
"""`open` is told nowhere to put the message: it is here already."""


class SignatureKernel:
    """The compiled loop. May be called from several threads at once."""

    def __init__(self) -> None:
        """Compile it, which takes some milliseconds; only where `is_compiled` says so."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(_LOOP)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine()
        self._engine = llvm.create_mcjit_compiler(module, machine)  # owns the machine code
        self._engine.finalize_object()
        takes = (
            ctypes.c_int64,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        )
        self._judge = ctypes.CFUNCTYPE(None, *takes)(self._engine.get_function_address("judge"))
        self._open = int(ffi.cast("uintptr_t", ffi.addressof(lib, "crypto_sign_open")))

    def verdicts(self, messages: Sequence[SignedMessage]) -> list[bool]:
        """Return for each message whether its key signed it, as libsodium judges."""
        count, end = len(messages), 0
        ends = array("q")
        for _, message in messages:
            end += len(message)
            ends.append(end)
        keys = b"".join([key for key, _ in messages])
        assert len(keys) == count * KEY_SIZE, "a key of another length"
        found = array("b", bytes(count))
        self._judge(
            count,
            found.buffer_info()[0],
            b"".join([message for _, message in messages]),
            ends.buffer_info()[0],
            keys,
            self._open,
        )
        return [verdict == 1 for verdict in found]


def is_compiled() -> bool:
    """Return whether this platform has what compiles the loop."""
    return llvm is not None
