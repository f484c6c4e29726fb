"""What scripts/check-clients has the client in Python do."""

import sys

from portico_client import AuthenticatedClient, Client
from portico_client.api.authentication import login, register
from portico_client.api.sites import create_site, list_sites, update_site
from portico_client.models import NewSite, Problem, ProblemCode, Registration, SignIn, SiteUpdate

URL = sys.argv[1]
EMAIL, PASSWORD = "python@example.com", "Correct-Horse-7"

visitor = Client(base_url=URL)
registered = register.sync_detailed(
    client=visitor, body=Registration(email=EMAIL, password=PASSWORD, full_name="Ada Lovelace")
)
assert registered.status_code == 201, registered

refused = login.sync(client=visitor, body=SignIn(email=EMAIL, password="Wrong-Horse-7"))
assert isinstance(refused, Problem) and refused.code is ProblemCode.INVALID_CREDENTIALS, refused

tokens = login.sync(client=visitor, body=SignIn(email=EMAIL, password=PASSWORD))
assert tokens.user.email == EMAIL, tokens
client = AuthenticatedClient(base_url=URL, token=tokens.access_token)

made = create_site.sync_detailed(client=client, body=NewSite(name="Bäckerei Licht"), idempotency_key="python-1")
assert made.status_code == 201 and "x-ratelimit-limit" in made.headers, made
site = made.parsed

renamed = update_site.sync(client=client, site_id=site.id, body=SiteUpdate(name="Bäckerei Sonne"))
assert renamed.name == "Bäckerei Sonne", renamed

sites = list_sites.sync(client=client, q="sonne")
assert sites.total == 1 and sites.items[0].id == site.id, sites

wrong = create_site.sync(client=client, body=NewSite(name=""))
assert isinstance(wrong, Problem) and wrong.errors[0].field == "name", wrong
