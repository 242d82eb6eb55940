"""Attention: the text that follows says how much each present attribute's prompt counts."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from msp.prompts.mixtures.base import MixedPrompt, Mixture, check_present, weighted_sum


class Attention(Mixture):
    """Weighs the attribute prompts by how well each agrees with the text (MSP, section 3.3).

    With x the summary of the text and m(P_a) the largest value of each
    dimension over attribute a's prompt::

        w = softmax_a( m(P_a) . x / sqrt(H) )     over the present attributes
        P = sum_a w_a P_a

    The softmax is over attributes. Over another axis, as in the authors'
    released code, the weights of attributes would not depend on each other and
    the sum would be a plain one.
    """

    reads_text: ClassVar[bool] = True

    def forward(self, prompts: Tensor, present: Tensor, text: Tensor | None = None) -> MixedPrompt:
        """Return the weighted sum of the present attributes' prompts.

        Args:
            prompts: [A, P, H].
            present: [B, A] bool.
            text: [B, H], see :func:`msp.prompts.mixtures.base.text_summary`.

        Returns:
            embeddings [B, P, H] and mask [B, P], true everywhere.

        Raises:
            ConstraintError: an example has no attribute.
        """
        check_present(present)
        assert text is not None
        return weighted_sum(prompts, attribute_scores(prompts, text), present)

    @staticmethod
    def length(prompt_length: int, num_present: int) -> int:
        """Return ``P``."""
        return prompt_length


def attribute_scores(prompts: Tensor, query: Tensor) -> Tensor:
    """Return ``m(P_a) . q / sqrt(H)`` as [B, A], of prompts [A, P, H] and queries [B, H]."""
    keys = prompts.amax(dim=1).float()
    scores: Tensor = query.float() @ keys.T / keys.shape[1] ** 0.5
    return scores
