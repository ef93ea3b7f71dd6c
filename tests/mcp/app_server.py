"""A server whose tool has a page, on the SDK's own extension."""

from mcp.server.apps import Apps
from mcp.server.mcpserver import MCPServer

apps = Apps()


@apps.tool(resource_uri="ui://clock/app.html", description="The time.")
def clock(day: str) -> str:
    return f"noon of {day}"


@apps.tool(resource_uri="ui://clock/app.html", visibility=["app"], description="For the page.")
def wind(day: str) -> str:
    return "wound"


apps.add_html_resource("ui://clock/app.html", "<p>tick</p>")
MCPServer("clock", extensions=[apps]).run()
