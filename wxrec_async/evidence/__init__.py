"""What was stored, written down beside it so that others can check it: manifests and certificates.

`CertificateIssuer` certifies a day, `audit` checks everything with nothing but the bucket.
What they say and where they lie is decided in `rules.evidence`.
"""

from wxrec_async.evidence.bucket_audit import audit
from wxrec_async.evidence.certify import CertificateIssuer, open_issuer
from wxrec_async.evidence.chain import ChainBroken
from wxrec_async.evidence.problems import AuditReport, Problem, ProblemKind

__all__ = ["AuditReport", "CertificateIssuer", "ChainBroken", "Problem", "ProblemKind", "audit", "open_issuer"]
