"""Write the generated parts of the documentation, and check the links of all pages.

``python -m selfdeconv_tools.pages docs``

Addresses outside the project are listed in ``docs/_build/external_links.txt``; nothing is fetched.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfdeconv_tools.pages.links import check_links
from selfdeconv_tools.pages.written import pages_of, write_pages


def main(docs: Path) -> int:
    """Write the files of a folder; return 1 if a link is broken."""
    write_pages(docs)
    links = check_links(pages_of(docs))
    listed = docs / "_build" / "external_links.txt"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text("\n".join(links.external) + "\n", encoding="utf-8")
    for link in links.broken:
        sys.stderr.write(f"broken link: {link}\n")
    return bool(links.broken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.pages", description=__doc__)
    parser.add_argument("docs", type=Path, help="folder of the pages")
    sys.exit(main(parser.parse_args().docs))
