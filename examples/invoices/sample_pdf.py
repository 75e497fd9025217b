"""A sample PDF of one page (ISO 32000-1 §7.5: header, objects, cross-reference table, trailer)."""

from pathlib import Path

_TEXT = b"BT /F1 24 Tf 72 720 Td (Invoice 1: 3 boxes of apples, 42.00) Tj ET"
_OBJECTS = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
    b"<< /Length %d >>\nstream\n%s\nendstream" % (len(_TEXT), _TEXT),
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
)


def make_sample(path: Path) -> Path:
    """Write the PDF to `path` and return it."""
    pdf, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, content in enumerate(_OBJECTS, 1):
        table += b"%010d 00000 n \n" % len(pdf)
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    end = b"xref\n0 6\n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (table, len(pdf))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pdf + end)
    return path
