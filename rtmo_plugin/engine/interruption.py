"""A training loop that can be stopped after any step and resumed there.

Ctrl-C (SIGINT), SIGTERM and SIGHUP (a closed terminal) let the current step end, save ``last.pth``, and raise
``InterruptedRun``.  The file notes how many batches of its epoch are done; a resumed run leaves these out, so
that it ends with the weights of one that was never stopped.  Several processes agree on the step, whichever of them
the signal reached.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rtmo_plugin.engine.distribution import AgreedNumber
from rtmo_plugin.engine.hooks.best_checkpoint import find_best
from rtmo_plugin.engine.hooks.process_buffers import ProcessBuffersHook
from rtmo_plugin.engine.hooks.resume_point import save_resume_point
from rtmo_plugin.errors import InterruptedRun
from rtmo_plugin.registry import HOOKS, LOOPS
from rtmo_plugin.wording import count

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_ECHO_SECONDS = 5.0
_NOTICE = b"\nstopping after this step; press Ctrl-C again to stop at once\n"


class StopRequest:
    """Notes a first signal that would end the process, and raises ``KeyboardInterrupt`` at the second.

    A program's own handlers stay.  With several processes, signals within five seconds are one: a terminal or Slurm
    sends it to each process, and the launcher sends it again.

    Attributes:
        signal_number: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, Any] = {}
        self._process = os.getpid()
        self._noted_at = 0.0

    def __enter__(self) -> StopRequest:
        """Take over the signals that would end this process."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a loading worker, which inherited this handler
            if number != signal.SIGINT:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        if self.signal_number is not None:
            if get_world_size() > 1 and time.monotonic() - self._noted_at < _ECHO_SECONDS:
                return
            raise KeyboardInterrupt
        self.signal_number, self._noted_at = number, time.monotonic()
        if is_main_process():
            with suppress(OSError):  # the terminal may be gone
                os.write(2, _NOTICE)  # print is not safe in a handler


class SkippingSampler:
    """A batch sampler that leaves out the first batches of one epoch, without loading them.

    Args:
        sampler: The batch sampler.
        num_batches: Number of batches to leave out when it is first iterated.
    """

    def __init__(self, sampler: Any, num_batches: int) -> None:
        self._sampler, self._num_batches = sampler, num_batches

    def __iter__(self) -> Iterator[Sequence[int]]:
        """Yield the indices of each batch."""
        num_batches, self._num_batches = self._num_batches, 0  # at the first batch: loaders ask for two iterators
        yield from islice(iter(self._sampler), num_batches, None)

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        if name == "_sampler":  # not there yet while this object is copied
            raise AttributeError(name)
        return getattr(self._sampler, name)


def skip_batches(loader: DataLoader[Any], num_batches: int) -> None:
    """Let the next iteration of ``loader`` begin after some batches; later ones are whole."""
    if num_batches:
        # DataLoader refuses another sampler, because it could change the length: this one does not.
        object.__setattr__(loader, "batch_sampler", SkippingSampler(loader.batch_sampler, num_batches))


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which can be stopped and resumed within one.

    Args:
        *args: Arguments of ``EpochBasedTrainLoop``.
        **kwargs: Arguments of ``EpochBasedTrainLoop``.

    Attributes:
        first_batch: Number of the batch with which this epoch began: 0, unless it was resumed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first_batch = 0
        self._request = StopRequest()

    def run(self) -> Any:
        """Train, and save the state if a signal comes.

        Raises:
            InterruptedRun: A signal came to one of the processes, and the state is saved.
        """
        self._signal = AgreedNumber()
        with self._request:
            return super().run()

    def run_epoch(self) -> None:
        """Train for an epoch, or for the rest of one."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        skip_batches(self.dataloader, self.first_batch)
        for number, batch in enumerate(self.dataloader, self.first_batch):
            self.run_iter(number, batch)
            if self._signal.exchange(self._request.signal_number or 0):
                self._stop_within_epoch(number + 1)
        self.first_batch = 0
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        if self._signal.settle(self._request.signal_number or 0):
            self._save_and_stop({"epoch": self._epoch, "iter": self._iter})

    def _stop_within_epoch(self, num_batches: int) -> None:
        """Save and stop, unless gradients are waiting for more batches or the epoch is over."""
        has_stepped = getattr(self.runner.optim_wrapper, "should_update", lambda: True)()
        if not has_stepped or num_batches == len(self.dataloader):
            return
        for hook in self.runner.hooks:
            if isinstance(hook, ProcessBuffersHook):
                hook.gather(self.runner, self._signal.group)
        place = {"batch": num_batches, "batches": len(self.dataloader)}
        self._save_and_stop({"epoch": self._epoch, "iter": self._iter, **place})

    def _save_and_stop(self, meta: dict[str, int]) -> None:
        """Save the state, and end all processes together.

        Raises:
            InterruptedRun: Always.
        """
        if is_main_process():
            save_resume_point(self.runner, meta)
        number = self._signal.settle(self._request.signal_number or 0)  # waits until the state is written
        raise InterruptedRun(describe_kept(self.runner), number)

    def raise_if_stopped(self) -> None:
        """End this process if a signal came to it; the caller has saved the state.

        Raises:
            InterruptedRun: A signal came.
        """
        number = self._request.signal_number
        if number is not None:
            raise InterruptedRun(describe_kept(self.runner), number)


@HOOKS.register_module()
class StopInValidationHook(Hook):
    """End a validation when a signal came: ``last.pth`` was saved before it began."""

    def after_val_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Stop.

        Raises:
            InterruptedRun: A signal came.
        """
        if isinstance(runner.train_loop, ResumableTrainLoop):
            runner.train_loop.raise_if_stopped()


def describe_kept(runner: Runner) -> str:
    """Return how far a run came, and what is left of it."""
    note = Path(runner.work_dir, "last_checkpoint")
    kept = f"the last checkpoint is {note.read_text().strip()}" if note.is_file() else "no checkpoint was written"
    if best := find_best(runner):
        kept += f", the best is {best}"
    return f"interrupted after {runner.epoch} of {runner.max_epochs} epochs ({count(runner.iter, 'step')}): {kept}"
