from typing_extensions import Buffer

class SecretBytes:
    """An immutable copy of secret bytes that is wiped when freed.

    `data` is any bytes-like object. Comparing takes the same time wherever the bytes differ; `repr` shows
    only the length; pickling and copying raise TypeError. `bytes(secret)` reveals the bytes, and with them
    the duty to keep them; a memoryview shows them without a copy.

    Where the kernel allows, they are in no core dump and not inherited by a child of fork() (MADV_DONTDUMP,
    MADV_WIPEONFORK). In any case the child gets ForkError when it reads or compares them.
    """

    def __init__(self, data: Buffer) -> None: ...
    def __bytes__(self) -> bytes: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    __hash__: None  # type: ignore[assignment]  # unhashable on purpose
