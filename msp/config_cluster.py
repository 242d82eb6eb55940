"""The section ``cluster``: where a run works and what its nodes cost, which does not define it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from msp.config_sections import PositiveFloat, PositiveInt, Section

Price = Annotated[float, Field(ge=0.0)] | None


class ClusterConfig(Section):
    """Where it runs. Not part of what defines a run: any cluster may continue it."""

    address: str | None = Field(None, description="Ray address; none starts a local Ray")
    min_generators: PositiveInt = 1
    max_generators: PositiveInt = 1
    cpus_per_generator: PositiveFloat = 1
    gpus_per_generator: Annotated[float, Field(ge=0.0)] = 0
    num_scorers: PositiveInt = 1
    cpus_per_scorer: PositiveFloat = 0.5
    gpus_per_scorer: Annotated[float, Field(ge=0.0)] = 0
    generator_labels: dict[str, str] = Field(
        {}, description="labels of the nodes that generators run on, such as {gpu-type: l4}"
    )
    scorer_labels: dict[str, str] = Field({}, description="likewise, of scorers")
    tuner_labels: dict[str, str] = Field({}, description="likewise, of tuning's workers")
    student_labels: dict[str, str] = Field(
        {}, description="likewise, of the workers that finetune students"
    )
    dollars_per_head_hour: Price = Field(
        None, description="price of the head, or of the one machine without GPUs; none: not counted"
    )
    dollars_per_gpu_hour: Price = Field(
        None, description="price of a node with GPUs, divided by its GPUs; none: not counted"
    )
    dollars_per_cpu_hour: Price = Field(
        None, description="price of a node without GPUs, divided by its CPUs; none: not counted"
    )
    s3_endpoint_url: str | None = Field(
        None, description="for MinIO, Ceph, R2; none uses the AWS setting"
    )
    s3_timeout_seconds: PositiveFloat = Field(
        60.0, description="silence after which a request to S3 is sent again"
    )
    s3_sse: Literal["none", "AES256", "aws:kms"] = Field(
        "none", description="server-side encryption asked for with every write to S3"
    )
    s3_sse_kms_key_id: str | None = Field(
        None, description="of aws:kms; none uses the account's default key"
    )

    @model_validator(mode="after")
    def _check_encryption(self) -> ClusterConfig:
        if self.s3_sse_kms_key_id is not None and self.s3_sse != "aws:kms":
            raise ValueError(
                f"cluster.s3_sse_kms_key_id is set, but cluster.s3_sse is {self.s3_sse}; a key of "
                "KMS needs s3_sse: aws:kms."
            )
        return self
