"""What an S3 failure means for a user, without ever showing a credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from s3transfer.exceptions import RetriesExceededError

from msp.errors import StorageError, StoreAccessError

_NO_KEYS = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    CredentialRetrievalError,
    SSOError,
    TokenRetrievalError,
    ConfigParseError,
)
_UNREACHABLE = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_REFUSED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "401", "403"}
_WRONG_KEYS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "UnauthorizedAccess",
}
_CHAIN = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine "
    "(on a cluster: of every node)"
)

HIDDEN = "[hidden]"


def error_code(error: ClientError) -> str:
    """Return the server's code, such as ``NoSuchKey``, or the HTTP status where it sent none."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def s3_explained(
    name: str, *, bucket: str, endpoint_url: str | None, secrets: Callable[[], Sequence[str]]
) -> Iterator[None]:
    """Turn a failure of boto3 in the body into a StorageError that says what to do.

    Args:
        name: the object's URI.
        bucket: as it was asked for.
        endpoint_url: None for AWS.
        secrets: returns the credentials in use, which no message may repeat: some servers and
            proxies answer a bad request with the request itself.

    Raises:
        StoreAccessError: bucket, endpoint, permission or credentials need mending.
        StorageError: anything else.
    """
    where = f"bucket {bucket!r} at {endpoint_url or 'the default endpoint'}"
    try:
        yield
    except ClientError as error:
        _hide(error, secrets())
        raise _refusal(name, where, error) from error
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        _hide(error, [] if isinstance(error, _NO_KEYS) else secrets())
        raise _failure(name, where, error) from error


def _hide(error: Exception, secrets: Sequence[str]) -> None:
    """Take credentials out of an error, which goes into logs as the cause of ours."""

    def hidden(text: object) -> object:
        for secret in secrets:
            text = text.replace(secret, HIDDEN) if isinstance(text, str) else text
        return text

    error.args = tuple(hidden(arg) for arg in error.args)
    if isinstance(error, ClientError):
        told: dict[str, object] = dict(error.response.get("Error", {}))
        answer: dict[str, object] = {"Error": {key: hidden(text) for key, text in told.items()}}
        error.response = answer  # type: ignore[assignment]  # with the answer's headers left out


def _refusal(name: str, where: str, error: ClientError) -> StorageError:
    code = error_code(error)
    if code == "NoSuchBucket":
        return StoreAccessError(
            f"{name}: {where} is not there; create it, or correct output_uri and "
            "cluster.s3_endpoint_url."
        )
    if code in _WRONG_KEYS:
        return StoreAccessError(
            f"{name}: {where} refuses the credentials ({code}); they come from {_CHAIN}."
        )
    if code in _REFUSED:
        return StoreAccessError(
            f"{name}: {where} refuses access ({code}); the credentials (from {_CHAIN}) need "
            "s3:ListBucket on the bucket and s3:GetObject, s3:PutObject and s3:DeleteObject in it."
        )
    if code in ("NoSuchKey", "404"):
        return StorageError(f"{name}: is not there ({where}).")
    message = error.response.get("Error", {}).get("Message", "")
    return StorageError(
        f"{name}: {where} failed ({code}: {message}); run the same command again, which continues."
    )


def _failure(name: str, where: str, error: Exception) -> StorageError:
    if isinstance(error, _NO_KEYS):
        return StoreAccessError(f"{name}: no usable credentials for {where}; set {_CHAIN}.")
    if isinstance(error, _UNREACHABLE):
        return StoreAccessError(
            f"{name}: cannot connect to {where} ({type(error).__name__}); check "
            "cluster.s3_endpoint_url, AWS_REGION and the network."
        )
    if isinstance(error, ParamValidationError):
        return StoreAccessError(f"{name}: {where} cannot exist; correct output_uri.")
    return StorageError(
        f"{name}: {where} failed ({type(error).__name__}: {error}); run the same command again, "
        "which continues."
    )
