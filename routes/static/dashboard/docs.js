// The page /docs: Swagger UI with this service's own description. Requests that a reader tries carry the token of the
// dashboard's login in this tab, and after POST /login the token of that answer.

import { session } from "./api.js";

const authorize = (token) => viewer.preauthorizeApiKey("token", token);

const viewer = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  filter: true,
  docExpansion: "none",
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // by default Swagger UI sends the document's URL to swagger.io
  onComplete: () => session.current && authorize(session.current.token),
  responseInterceptor: (answer) => {
    if (answer.ok && answer.url.endsWith("/login")) authorize(answer.body.token);
    return answer;
  },
});
