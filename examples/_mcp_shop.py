"""A small MCP server, which ``mcp_tools.py`` starts: it is spoken to over its standard input and output."""

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

STOCK = {"lamp": 3, "chair": 0}
shop = MCPServer("shop")


@shop.tool()
def stock(article: str) -> int:
    """Count what is there of an article."""
    if article not in STOCK:
        raise ToolError(f"The shop knows no {article}.")
    return STOCK[article]


if __name__ == "__main__":
    shop.run("stdio")
