"""One thread that owns vLLM and steps it while anybody waits for a text."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from msp.errors import EngineDiedError, GenerationError

if TYPE_CHECKING:
    from vllm import LLMEngine, SamplingParams
    from vllm.inputs.engine import EngineInput
    from vllm.outputs import CompletionOutput

    Outputs = list[Sequence[CompletionOutput]]

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """Prompts that were handed in together, and what has become of them.

    Args:
        prompts: in the order in which vLLM is to see them.
        seed: of the engine, where the job finds it idle.
    """

    prompts: Sequence[tuple[EngineInput, SamplingParams]]
    seed: int
    done: Future[Outputs] = field(default_factory=Future)
    outputs: dict[int, Sequence[CompletionOutput]] = field(default_factory=dict)


class EngineLoop:
    """vLLM's engine core in this process, stepped by a thread of its own.

    In this process, because a core in a child of it outlives an actor that is killed and
    keeps the GPU's memory. In one thread, because vLLM is not for two at once.

    Args:
        arguments: of vLLM's EngineArgs.

    Raises:
        GenerationError: vLLM cannot open the LM.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._num_threads = torch.get_num_threads()
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: dict[str, tuple[Job, int]] = {}
        self._death: BaseException | None = None
        self._num_started = 0
        opened: Future[None] = Future()
        threading.Thread(target=self._run, args=(opened,), name="vllm", daemon=True).start()
        opened.result()

    def run(self, job: Job) -> Outputs:
        """Return the completions of each prompt of the job, once all are done.

        Raises:
            EngineDiedError: vLLM failed, now or before.
        """
        with self._changed:
            if self._death is not None:
                raise _died(self._death) from self._death
            self._waiting.append(job)
            self._changed.notify()
        return job.done.result()

    def _run(self, opened: Future[None]) -> None:
        try:
            engine = self._open()
        except BaseException as error:
            failure = GenerationError(f"vLLM cannot open {self._arguments['model']}: {error}")
            failure.__cause__ = error
            opened.set_exception(failure)
            return
        opened.set_result(None)
        try:
            while True:
                for job in self._taken():
                    self._start(engine, job)
                for output in engine.step():
                    self._finish(output)
        except BaseException as error:
            logger.exception("vLLM failed")
            self._die(error)

    def _open(self) -> LLMEngine:
        from vllm import EngineArgs, LLMEngine

        # OpenMP counts threads per thread; this one is new.
        torch.set_num_threads(self._num_threads)
        return LLMEngine.from_engine_args(EngineArgs(**self._arguments))

    def _taken(self) -> list[Job]:
        """Return the jobs that came in; wait for one where there is nothing else to do."""
        with self._changed:
            while not (self._waiting or self._running):
                self._changed.wait()
            taken, self._waiting = self._waiting, []
        return taken

    def _start(self, engine: LLMEngine, job: Job) -> None:
        if not self._running:
            torch.manual_seed(job.seed)
        for place, (prompt, params) in enumerate(job.prompts):
            self._num_started += 1
            name = str(self._num_started)
            self._running[name] = (job, place)
            engine.add_request(name, prompt, params)

    def _finish(self, output: Any) -> None:
        job, place = self._running.pop(output.request_id)
        job.outputs[place] = output.outputs
        if len(job.outputs) == len(job.prompts):
            job.done.set_result([job.outputs[i] for i in range(len(job.prompts))])

    def _die(self, error: BaseException) -> None:
        with self._changed:
            self._death = error
            lost = [*self._waiting, *(job for job, _ in self._running.values())]
        for job in lost:
            if not job.done.done():
                job.done.set_exception(_died(error))


def _died(error: BaseException) -> EngineDiedError:
    return EngineDiedError(
        f"vLLM failed ({type(error).__name__}: {error}); its log says more. Running the same "
        "command again goes on from what is committed."
    )
