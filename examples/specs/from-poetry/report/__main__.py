"""A page of a report."""

from jinja2 import Template
from markdown import markdown

print(markdown(Template("# {{ title }}").render(title="Sales")))
