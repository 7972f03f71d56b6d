"""Files: written whole or not at all, checked before any work, and read within limits.

Every module that writes a file uses these functions, so that a full disk, a kill or two processes in one folder never
leave half a file, and no original is overwritten. Files of users are read with them too: reading a device, pipe or
socket may block or never end, and a file may be larger than memory.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import shutil
import stat
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from rtmo_plugin.errors import DataError, MissingFileError, OutputError, UserError
from rtmo_plugin.wording import format_bytes

MAX_TEXT_BYTES = 2 * 10**9  # the labels of COCO have 0.5 GB
MAX_NAME_BYTES = 255  # the limit of ext4, NTFS, APFS and most other file systems
MAX_RATIO = 4  # unpacked size of weights in sizes of their archive
_CHUNK_BYTES = 1 << 20
# Without O_NONBLOCK, opening a pipe would wait until another process writes to it. Windows does not have the flag.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


@contextmanager
def replace_file(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a draft path beside ``path``, with its suffix; after the block the draft becomes ``path``.

    The draft's name is unique, so several processes may write the same file: each one writes a whole
    file and the last one wins. If the block fails, the draft is removed and an older ``path`` stays as it is.
    The draft is synced to disk before it is renamed. Missing folders above ``path`` are made.

    Args:
        path: File to write. A symbolic link is replaced; the file it points to stays as it is.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file cannot be written, exists and must not be replaced, or is not a regular file.
    """
    target = Path(path)
    check_name(target)
    suffix = target.suffix if len(target.suffix) <= 16 else ""
    draft = target.with_name(f".{target.stem[:32]}.{uuid.uuid4().hex[:12]}.part{suffix}")
    with _explain_failures(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_target(target, overwrite=overwrite)
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            if overwrite:
                draft.replace(target)
            else:
                _move_exclusively(draft, target)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def replace_file_also_if_stopped(path: str | Path) -> Iterator[Path]:
    """Yield a draft path as ``replace_file`` does, and keep the draft if the block is stopped by the user.

    ``KeyboardInterrupt``, ``SystemExit`` and the closing of a generator keep what is written so far and are raised
    again. Any other exception leaves an older ``path`` as it is.

    Args:
        path: File to write.

    Raises:
        OutputError: The file cannot be written.
    """
    stopped: BaseException | None = None
    with replace_file(path) as draft:
        try:
            yield draft
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
            stopped = error
    if stopped is not None:
        raise stopped


@contextmanager
def create_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a draft folder; after the block its content is at ``path``, whole or not at all.

    Args:
        path: Folder to create; it may exist if it is empty.
        overwrite: Whether it may have files: those of the same names are replaced one after another, others stay.

    Raises:
        OutputError: The folder cannot be written, or ``path`` exists and is not an empty folder.
    """
    target = Path(path)
    with _explain_failures(target):
        check_folder_is_free(target, overwrite=overwrite)
        is_there = target.is_dir()
        # An empty folder may be a mount point, so its draft is inside it.
        parent = target if is_there else target.parent
        parent.mkdir(parents=True, exist_ok=True)
        draft = parent / f".{uuid.uuid4().hex[:12]}.part"
        draft.mkdir()
        try:
            yield draft
            if is_there:
                _move_into(draft, target)
            else:
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def check_folder_is_free(path: str | Path, *, overwrite: bool = False) -> None:
    """Check that a folder can be created: it does not exist, is empty, or may be overwritten.

    Raises:
        OutputError: It is not empty and must not be overwritten, or is a file.
    """
    target = Path(path)
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputError(f"{target} is not a folder and is not overwritten.")
    if not overwrite and any(target.iterdir()):
        raise OutputError(f"{target} exists already and is not overwritten.")


def _move_into(folder: Path, target: Path) -> None:
    """Move the content of a folder into an existing one; files of the same names are replaced."""
    for entry in list(folder.iterdir()):
        existing = target / entry.name
        if entry.is_dir() and existing.is_dir() and not existing.is_symlink():
            _move_into(entry, existing)
        else:
            entry.replace(existing)


def write_file(path: str | Path, content: bytes | str | Iterable[str], *, overwrite: bool = True) -> Path:
    """Write a file whole or not at all (see :func:`replace_file`).

    Args:
        path: File to write.
        content: Bytes, text (written in UTF-8), or parts of a text.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        OutputError: The file cannot be written.
    """
    with replace_file(path, overwrite=overwrite) as draft:
        if isinstance(content, bytes):
            draft.write_bytes(content)
        else:
            try:
                with draft.open("w", encoding="utf-8", newline="") as file:
                    file.writelines([content] if isinstance(content, str) else content)
            except UnicodeEncodeError as error:
                character = error.object[error.start]
                raise OutputError(f"{path} cannot be written: UTF-8 has no character {character!r}.") from error
    return Path(path)


def write_json(path: str | Path, value: Any, *, indent: int | None = None, overwrite: bool = True) -> Path:
    """Write ``value`` as JSON, whole or not at all.

    Returns:
        The path.

    Raises:
        OutputError: The file cannot be written, or ``value`` holds a number that is not finite.
    """
    return write_file(path, encode_json(value, str(path), indent=indent) + "\n", overwrite=overwrite)


def encode_json(value: Any, name: str, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON.

    Raises:
        OutputError: ``value`` holds NaN or infinity, which JSON cannot express; the message calls it ``name``.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError as error:
        raise OutputError(f"{name} cannot be written as JSON: {error}.") from error


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; symbolic links are followed.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be opened, or is a folder, device, pipe or socket.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise MissingFileError(f"The file {path} does not exist.") from None
    except OSError as error:
        kind = "" if error.errno != errno.ENXIO else " (it is a socket or a pipe)"
        raise DataError(f"{path} cannot be read: {error.strerror}{kind}.") from None
    except ValueError as error:  # a null byte in the name
        raise DataError(f"{str(path)!r} is not a file name: {error}.") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = _KINDS.get(stat.S_IFMT(mode), "special file")
        raise DataError(f"{path} is a {kind}, not a regular file; only regular files are read.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def check_regular(path: str | Path) -> None:
    """Check that a file that another library will open exists, is regular and can be read.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be opened, or is a folder, device, pipe or socket.
    """
    with open_regular(path):
        pass


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: File to read.
        max_bytes: Largest size that is read.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be read, is not a regular file, or is larger than ``max_bytes``.
    """
    with open_regular(path) as file:
        try:
            # A sparse file is refused before memory is allocated; a file under /proc has a size of 0 and is read on.
            size = os.fstat(file.fileno()).st_size
            content = file.read(size + 1) if size <= max_bytes else b""
            while size < len(content) <= max_bytes and (more := file.read(_CHUNK_BYTES)):
                content += more
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        except MemoryError:
            raise DataError(f"{path} does not fit in memory.") from None
    if max(size, len(content)) > max_bytes:
        raise DataError(f"{path} has more than {format_bytes(max_bytes)}, the limit for such a file.")
    return content


def check_archive(path: str | Path) -> None:
    """Check that a ZIP archive does not unpack to much more than its size; files that are not archives pass.

    Archives of weights are hardly smaller than their contents.

    Raises:
        DataError: The archive unpacks to more than 100 MB and ``MAX_RATIO`` times its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # another kind of file, or a damaged one
        return
    if unpacked > max(10**8, MAX_RATIO * os.stat(path).st_size):
        raise DataError(
            f"{path} unpacks to {format_bytes(unpacked)}, more than {MAX_RATIO} times its size, the limit for weights."
        )


def compute_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file as hex digits."""
    computed = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            computed.update(chunk)
    return computed.hexdigest()


def read_text(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return a text file in UTF-8, with or without a byte order mark.

    Args:
        path: File to read; it must be a regular file.
        max_bytes: Largest size that is read.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read, is too large or is not text; the message names the byte.
    """
    try:
        # Every line ends with one \n, as when Python reads a text file.
        return read_bytes(path, max_bytes).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path} is not text in UTF-8: byte {error.start} is {byte:#04x}.") from None


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file; NaN and Infinity are accepted, so that a check can name them.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read or is not valid JSON; the message names the place.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str, name: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        DataError: ``text`` is not valid JSON; the message calls it ``name`` and names the place.
    """
    try:
        with pause_collector():
            return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (character {error.pos:,} of {len(text):,}): {error.msg}"
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        advice = "; it seems to be cut off there, so copy or download it again" if is_cut else ""
        raise DataError(f"{name} is not valid JSON: {place}{advice}.") from None
    except RecursionError:
        raise DataError(f"{name} is nested too deeply.") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise DataError(f"{name} cannot be read as JSON: {error}.") from None


def join_inside(folder: str | Path, name: str) -> Path:
    """Return ``folder / name`` for a name that comes from a file, an archive or a user's data.

    Raises:
        DataError: The name leaves the folder (absolute, ``..`` or through a symbolic link), is empty, is too
            long or contains control characters.
    """
    parts = PurePosixPath(name).parts
    is_absolute = PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).drive or PureWindowsPath(name).root)
    if not parts or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise DataError(f"{name!r} is not a usable file name.")
    path = Path(folder, name)
    if is_absolute or ".." in PureWindowsPath(name).parts or ".." in parts:
        raise DataError(f"{name!r} names a file outside {folder}; use a relative name without '..'.")
    for part in parts:
        check_name(Path(part))
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        raise DataError(f"{name!r} leads outside {folder} through a symbolic link.")
    return path


def check_name(path: Path) -> None:
    """Check that the last part of a path is short enough for a file system.

    Raises:
        OutputError: It is longer than 255 bytes, or not text that a file name can hold.
    """
    try:
        size = len(os.fsencode(path.name))
    except UnicodeEncodeError:
        raise OutputError(f"{path.name[:60]!r} cannot be the name of a file: it is not valid Unicode.") from None
    if size > MAX_NAME_BYTES:
        raise OutputError(f"The file name {path.name[:40]}... has {size} bytes; at most {MAX_NAME_BYTES} are possible.")


def check_outputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path] = ()) -> None:
    """Check all files that a command will write, before it works or writes.

    For a folder that does not exist yet, the nearest existing folder is checked. No files are left behind.

    Args:
        outputs: Files that will be written.
        inputs: Files that are read and must stay as they are. Files that do not exist are ignored.

    Raises:
        OutputError: An output is an input (by any path or link), two outputs are the same file, or an output
            cannot be written.
    """
    identities = {identity: path for path in inputs if (identity := _identify(path)) is not None}
    seen: dict[Path, str | Path] = {}
    folders: set[Path] = set()
    for output in outputs:
        path = Path(output)
        check_name(path)
        source = identities.get(_identify(path) or (-1, -1))
        if source is not None:
            same = "is an input" if os.fspath(source) == os.fspath(path) else f"is the same file as the input {source}"
            raise OutputError(f"{path} {same} and would be overwritten; choose another output.")
        place = path.parent.resolve() / path.name
        if place in seen:
            raise OutputError(f"{path} would be written twice; give the inputs different names.")
        seen[place] = output
        _check_target(path, overwrite=True)
        folders.add(next(filter(os.path.lexists, path.parents), path.parent))
    for folder in folders:
        probe = folder / f".{uuid.uuid4().hex}.part"
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            raise OutputError(f"No file can be written in {folder}: {error.strerror}.") from error


@contextmanager
def _explain_failures(target: Path) -> Iterator[None]:
    """Turn errors of the system while a file or folder is written into a sentence.

    Raises:
        OutputError: The file or folder cannot be written, or exists already.
    """
    try:
        yield
    except UserError:
        raise
    except FileExistsError as error:
        raise OutputError(f"{target} exists already and is not overwritten.") from error
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}.") from error


def _move_exclusively(draft: Path, target: Path) -> None:
    """Move a file to a free name; unlike a rename, a link fails if the name has been taken meanwhile.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # USB sticks and some network drives have no links
        if os.path.lexists(target):
            raise FileExistsError from None
        draft.rename(target)


def _identify(path: str | Path) -> tuple[int, int] | None:
    """Return device and inode of an existing file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _check_target(path: Path, *, overwrite: bool) -> None:
    """Raise an ``OutputError`` if ``path`` exists and must not be replaced."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder; name a file.")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OutputError(f"{path} is not a regular file; name another file.")
    if not overwrite:
        raise OutputError(f"{path} exists already and is not overwritten.")


@contextmanager
def pause_collector() -> Iterator[None]:
    """Pause the garbage collector, which would examine millions of new lists again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
