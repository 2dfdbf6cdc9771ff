import { findInputSchema, findOutputSchema, type Model } from "../api/models.ts";
import { chooseWidget } from "../form/schema-form.tsx";
import { listFields } from "../schema/schema.ts";

/** A field of an endpoint that takes a picture. */
export interface ImageTarget {
  readonly model: Model;
  readonly field: string;
}

/** Where a picture can be used: a field of each endpoint that takes one, those that answer with pictures first. */
export function listImageTargets(models: readonly Model[]): readonly ImageTarget[] {
  const targets = models.flatMap((model): readonly ImageTarget[] => {
    const field = listFields(findInputSchema(model), model.document).find(
      (candidate) => chooseWidget(candidate, model.document) === "file" && /image/.test(candidate.name),
    );
    return field === undefined ? [] : [{ model, field: field.name }];
  });
  const givesPictures = ({ model }: ImageTarget): boolean => {
    const { image, images } = findOutputSchema(model).properties ?? {};
    return (image ?? images) !== undefined;
  };
  return [...targets.filter(givesPictures), ...targets.filter((target) => !givesPictures(target))];
}
