// Shows the API document. What people sign in with is kept by their browser.
"use strict";

SwaggerUIBundle({
    url: "/api/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    persistAuthorization: true,
});
